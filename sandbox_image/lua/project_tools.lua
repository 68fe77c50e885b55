-- A project's own tools: `.jido_code/tools/NAME.lua`, sent along as text by whoever knows that
-- the user trusts exactly these bytes. Owns how such a text becomes a function and what a script
-- sees of it as `jido.tools.NAME`. Each tool has globals of its own. Reads no file.

return function(new_environment, decode)
  local error, ipairs, load, next, pairs, pcall = error, ipairs, load, next, pairs, pcall
  local rawget, rawlen, tostring, type = rawget, rawlen, tostring, type
  local floor, math_type, pack, unpack, sub = math.floor, math.type, table.pack, table.unpack, string.sub
  local project = { exposed = {} }
  local sources, loaded = {}, {}

  ---------------------------------------------------------------------------------------------
  -- Arguments of a call from a script; those of other calls were checked outside
  ---------------------------------------------------------------------------------------------

  local check

  local function is_list(value)
    local count = 0
    for _ in next, value do
      count = count + 1
    end
    return count == rawlen(value)
  end

  local KINDS = {
    string = function(value) return type(value) == "string" end,
    boolean = function(value) return type(value) == "boolean" end,
    number = function(value) return type(value) == "number" end,
    integer = function(value)
      return math_type(value) == "integer" or math_type(value) == "float" and floor(value) == value
    end,
    array = function(value) return type(value) == "table" and is_list(value) end,
    object = function(value)
      return type(value) == "table" and (next(value) == nil or not is_list(value))
    end,
  }

  local function check_enum(schema, value, place)
    if type(schema.enum) ~= "table" then
      return nil
    end
    for _, allowed in ipairs(schema.enum) do
      if allowed == value then
        return nil
      end
    end
    return place .. " is none of the values it may have"
  end

  local function check_object(schema, value, place)
    local properties = type(schema.properties) == "table" and schema.properties or {}
    for _, name in ipairs(type(schema.required) == "table" and schema.required or {}) do
      if rawget(value, name) == nil then
        return place .. " lacks `" .. tostring(name) .. "`"
      end
    end
    for name, item in next, value do
      local known = properties[name]
      if type(known) == "table" then
        local fault = check(known, item, place .. "." .. tostring(name))
        if fault then
          return fault
        end
      elseif schema.additionalProperties ~= true then
        return place .. " has no `" .. tostring(name) .. "`"
      end
    end
    return nil
  end

  function check(schema, value, place)
    local is_kind = KINDS[schema.type]
    if is_kind and not is_kind(value) then
      return place .. " must be of type " .. schema.type
    elseif schema.type == "object" then
      return check_object(schema, value, place)
    elseif schema.type == "array" and type(schema.items) == "table" then
      for index = 1, rawlen(value) do
        local fault = check(schema.items, rawget(value, index), place .. "[" .. index .. "]")
        if fault then
          return fault
        end
      end
      return nil
    end
    return check_enum(schema, value, place)
  end

  ---------------------------------------------------------------------------------------------
  -- From text to function
  ---------------------------------------------------------------------------------------------

  local function declared(name, source, environment)
    local chunk, complaint = load(source, "=" .. name .. ".lua", "t", environment)
    if not chunk then
      error(complaint, 0)
    end
    local declaration = chunk()
    if type(declaration) ~= "table" then
      error(name .. ".lua must return a table with name, description, parameters and run", 0)
    elseif rawget(declaration, "name") ~= name then
      error(name .. ".lua must declare the name `" .. name .. "`, as its file is called", 0)
    elseif type(rawget(declaration, "run")) ~= "function" then
      error(name .. ".lua must declare `run`, a function", 0)
    end
    return declaration
  end

  local function ready(name)
    local source, known = sources[name], loaded[name]
    if known and known.source == source then
      return known
    end
    local environment = new_environment()
    environment.jido.tools = project.exposed
    local declaration = declared(name, source, environment)
    known = {
      source = source,
      run = rawget(declaration, "run"),
      parameters = rawget(declaration, "parameters"),
    }
    loaded[name] = known
    return known
  end

  -- As everything in `jido`: a failure is nil, a message and a code.
  local function for_scripts(name)
    return function(arguments)
      local sound, tool = pcall(ready, name)
      if not sound then
        return nil, tostring(tool), "lua_error"
      end
      arguments = arguments == nil and {} or arguments
      local parameters = type(tool.parameters) == "table" and tool.parameters or {}
      local fault
      if type(arguments) ~= "table" then
        fault = "the arguments must be a table"
      else
        fault = check_object(parameters, arguments, "arguments")
      end
      if fault then
        return nil, name .. ": " .. fault, "invalid_argument"
      end
      local results = pack(pcall(tool.run, arguments))
      if not results[1] then
        return nil, name .. ": " .. tostring(results[2]), "lua_error"
      end
      return unpack(results, 2, results.n)
    end
  end

  ---------------------------------------------------------------------------------------------
  -- What the interpreter calls
  ---------------------------------------------------------------------------------------------

  -- Cuts the tools' texts off the payload, shows them as `jido.tools`, returns what is before.
  function project.take(header, payload)
    for name in pairs(project.exposed) do
      project.exposed[name] = nil
    end
    sources = {}
    for name, reason in pairs(header.refused or {}) do
      project.exposed[name] = function()
        return nil, reason, "permission_denied"
      end
    end
    local start = #payload
    for _, tool in ipairs(header.tools or {}) do
      start = start - tool[2]
    end
    local position = start + 1
    for _, tool in ipairs(header.tools or {}) do
      local name, length = tool[1], tool[2]
      sources[name] = sub(payload, position, position + length - 1)
      position = position + length
      project.exposed[name] = for_scripts(name)
    end
    return sub(payload, 1, start)
  end

  -- Declarations are values only: whatever `run` is stays here.
  function project.describer(name, source)
    return function()
      local declaration = declared(name, source, new_environment())
      local description = rawget(declaration, "description")
      if type(description) ~= "string" then
        error(name .. ".lua must declare `description`, a string", 0)
      end
      return { name = name, description = description, parameters = rawget(declaration, "parameters") }
    end
  end

  function project.caller(name, arguments)
    return function()
      local tool = ready(name)
      local results = pack(tool.run(decode(arguments)))
      if results[1] == nil and type(results[2]) == "string" then
        local code = type(results[3]) == "string" and " (" .. results[3] .. ")" or ""
        error(results[2] .. code, 0)
      end
      return unpack(results, 1, results.n)
    end
  end

  return project
end
