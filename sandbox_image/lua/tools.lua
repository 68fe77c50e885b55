-- `jido.*`: the tool server's operations as Lua functions. Each returns its result, or nil,
-- a message and a code of the closed set.

return function(call, decode, encode)
  local type, error, tostring, ipairs = type, error, tostring, ipairs
  local concat, sub = table.concat, string.sub
  local jido = {}

  local function expect_path(name, path)
    if type(path) ~= "string" then
      error(name .. ": the path must be a string", 3)
    end
    return path
  end

  -- Operations whose answer is a list travel as JSON in the payload.
  local function listed(result, data, code)
    if not result then
      return nil, data, code
    end
    return decode(data), result.truncated == true
  end

  local function confirmed(result, message, code)
    if not result then
      return nil, message, code
    end
    return true
  end

  function jido.read_file(path, options)
    local arguments = { path = expect_path("read_file", path) }
    if type(options) == "table" then
      arguments.offset, arguments.limit, arguments.width = options.offset, options.limit, options.width
    else
      arguments.raw = true
    end
    local result, data, code = call("read", arguments)
    if not result then
      return nil, data, code
    end
    return data, result
  end

  function jido.write_file(path, content, options)
    expect_path("write_file", path)
    if type(content) ~= "string" then
      error("write_file: the content must be a string", 2)
    end
    if #content > 10485760 then
      return nil, "write_file: more than 10 MiB", "too_large"
    end
    local expected = type(options) == "table" and options.expected_hash or nil
    local result, message, code = call("write", { path = path, expected_hash = expected }, content)
    if not result then
      return nil, message, code
    end
    return true, result.hash
  end

  -- One replacement as two strings, or several at once as a list of {old =, new =}: the
  -- options are then the third argument.
  function jido.edit_file(path, old, new, options)
    expect_path("edit_file", path)
    local edits = old
    if type(old) ~= "table" then
      edits = { { old = old, new = new, replace_all = type(options) == "table" and options.replace_all or nil } }
    else
      options = new
    end
    local expected = type(options) == "table" and options.expected_hash or nil
    local result, message, code = call("edit", { path = path, expected_hash = expected }, encode(edits, 0))
    if not result then
      return nil, message, code
    end
    return result.replacements, result
  end

  function jido.list_dir(path)
    return listed(call("list", { path = path or "." }))
  end

  function jido.glob(pattern, path, limit)
    return listed(call("glob", { pattern = pattern, path = path or ".", limit = limit }))
  end

  function jido.find(query, limit)
    return listed(call("find", { query = query, limit = limit }))
  end

  function jido.grep(pattern, options)
    local arguments = { pattern = pattern }
    if type(options) == "string" then
      arguments.path = options
    elseif type(options) == "table" then
      for _, name in ipairs({ "path", "glob", "ignore_case", "fixed", "limit", "context" }) do
        arguments[name] = options[name]
      end
    end
    return listed(call("grep", arguments))
  end

  function jido.stat(path, options)
    local follow = not (type(options) == "table" and options.follow == false)
    return call("stat", { path = expect_path("stat", path), follow = follow })
  end

  function jido.real_path(path)
    local result, message, code = call("realpath", { path = expect_path("real_path", path) })
    if not result then
      return nil, message, code
    end
    return result.path
  end

  function jido.exists(path)
    local result, message, code = call("exists", { path = expect_path("exists", path) })
    if not result then
      return nil, message, code
    end
    return result.exists
  end

  local function has_type(path, wanted)
    local result = call("stat", { path = path })
    return result ~= nil and result.type == wanted
  end

  function jido.is_file(path)
    return has_type(expect_path("is_file", path), "file")
  end

  function jido.is_dir(path)
    return has_type(expect_path("is_dir", path), "directory")
  end

  function jido.mkdir(path)
    return confirmed(call("make_dir", { path = expect_path("mkdir", path) }))
  end

  function jido.delete_file(path)
    return confirmed(call("remove", { path = expect_path("delete_file", path) }))
  end

  function jido.rename(path, target, options)
    local overwrite = type(options) == "table" and options.overwrite == true
    local arguments = { path = expect_path("rename", path), target = target, overwrite = overwrite }
    return confirmed(call("rename", arguments))
  end

  -- A table is a program with its arguments; a string is a shell line.
  local function command_arguments(command, options)
    local arguments = {}
    arguments[type(command) == "table" and "command" or "shell"] = command
    if type(options) == "table" then
      arguments.cwd, arguments.env = options.cwd, options.env
    end
    return arguments
  end

  -- Both outputs of a command, added to what else the reply says of it.
  local function captured(result, data)
    local out, err = result.stdout, result.stderr
    local split = out[1] + out[2]
    result.stdout, result.stderr = sub(data, 1, split), sub(data, split + 1)
    result.cut_bytes = out[3] + err[3]
    return result
  end

  function jido.shell(command, options)
    local arguments, stdin = command_arguments(command, options), nil
    if type(options) == "table" then
      arguments.timeout_s, stdin = options.timeout, options.stdin
    end
    local result, data, code = call("run", arguments, stdin)
    if not result then
      return nil, data, code
    end
    return captured(result, data)
  end

  function jido.git(...)
    local words = { "git" }
    for _, word in ipairs({ ... }) do
      words[#words + 1] = type(word) == "table" and concat(word, " ") or tostring(word)
    end
    return jido.shell(words)
  end

  -- A shell that stays: directory, variables and functions are kept for the next command.
  function jido.shell_run(command, options)
    if type(command) ~= "string" then
      error("shell_run: the command must be a string", 2)
    end
    local arguments = {}
    if type(options) == "table" then
      arguments.name, arguments.timeout_s = options.name, options.timeout
    end
    local result, data, code = call("shell_run", arguments, command)
    if not result then
      return nil, data, code
    end
    return captured(result, data)
  end

  function jido.shell_reset(name)
    return confirmed(call("shell_reset", { name = name }))
  end

  function jido.shell_list()
    return listed(call("shell_list", {}))
  end

  -- Background jobs: they outlive the script and belong to the session.
  function jido.job_start(command, options)
    local result, message, code = call("job_start", command_arguments(command, options))
    if not result then
      return nil, message, code
    end
    return result.job, result
  end

  function jido.job_poll(job, options)
    local arguments = { job = job }
    if type(options) == "table" then
      arguments.cursor, arguments.wait_s = options.cursor, options.wait
    end
    local result, data, code = call("job_poll", arguments)
    if not result then
      return nil, data, code
    end
    result.output = data
    return result
  end

  function jido.job_input(job, data, options)
    local close = type(options) == "table" and options.close == true
    return confirmed(call("job_input", { job = job, close = close }, data))
  end

  function jido.job_kill(job)
    return call("job_kill", { job = job })
  end

  function jido.job_list()
    return listed(call("job_list", {}))
  end

  function jido.job_forget(job)
    return confirmed(call("job_forget", { job = job }))
  end

  return jido
end
