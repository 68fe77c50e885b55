-- The interpreter of one sandbox: reads scripts from standard input, runs each in a closed
-- environment, answers on standard output. Owns what a script may see and how much it may
-- compute. Nothing here is ever reachable from a script except what `new_globals` lists.

local assert, error, getmetatable, ipairs, load, next = assert, error, getmetatable, ipairs, load, next
local pairs, pcall, rawequal, rawget, rawlen = pairs, pcall, rawequal, rawget, rawlen
local rawset, select, setmetatable, tonumber, tostring = rawset, select, setmetatable, tonumber, tostring
local type, xpcall, collectgarbage = type, xpcall, collectgarbage
local coroutine, math, string, table, utf8 = coroutine, math, string, table, utf8
local char, byte, find, format, gsub = string.char, string.byte, string.find, string.format, string.gsub
local rep, sub = string.rep, string.sub
local concat, unpack = table.concat, table.unpack
local floor, huge, math_type = math.floor, math.huge, math.type
local utf8_len, utf8_char = utf8.len, utf8.char
local stdin, stdout, exit = io.stdin, io.stdout, os.exit
local sethook, running = debug.sethook, coroutine.running
local clock = os.clock

-- Longest string that `string.rep` makes; the kernel's limit on memory is behind it.
local MAX_REPEAT_BYTES = 64 * 1024 * 1024
-- Nested tables that a result may have.
local MAX_DEPTH = 64
-- Instructions between two looks at the count; a new coroutine is charged this much at once.
local HOOK_INSTRUCTIONS = 1000
-- Bytes of one call's arguments; contents of files travel beside them.
local MAX_ARGUMENT_BYTES = 60 * 1024
-- Bytes that one frame carries beside its header.
local MAX_PAYLOAD_BYTES = 16 * 1024 * 1024
-- Bytes of an error's message; the rest is of no use to anybody.
local MAX_MESSAGE_BYTES = 8192
-- What the interpreter itself says when it gets no more memory.
local OUT_OF_MEMORY = "not enough memory"
-- Bytes of printed output kept before they are sent on.
local FLUSH_BYTES = 2048

---------------------------------------------------------------------------------------------
-- JSON
---------------------------------------------------------------------------------------------

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape_control(character)
  return ESCAPES[character] or format("\\u%04x", byte(character))
end

-- Bytes that are not UTF-8 travel as the lone surrogates that Python uses for them.
local function escape_invalid(text)
  local parts, count, position = {}, 0, 1
  while position <= #text do
    local _, bad = utf8_len(text, position)
    count = count + 1
    if not bad then
      parts[count] = sub(text, position)
      break
    end
    parts[count] = sub(text, position, bad - 1) .. format("\\udc%02x", byte(text, bad))
    position = bad + 1
  end
  return concat(parts)
end

local function encode_string(text)
  text = gsub(text, '[%c"\\]', escape_control)
  if not utf8_len(text) then
    text = escape_invalid(text)
  end
  return '"' .. text .. '"'
end

local encode

local function encode_table(value, depth)
  if depth > MAX_DEPTH then
    error("a result nests too deeply or contains itself", 0)
  end
  local parts, length, count = {}, rawlen(value), 0
  for _ in next, value do
    count = count + 1
  end
  if count == length then
    for index = 1, length do
      parts[index] = encode(rawget(value, index), depth + 1)
    end
    return "[" .. concat(parts, ",") .. "]"
  end
  count = 0
  for key, item in next, value do
    local kind = type(key)
    if kind ~= "string" and kind ~= "number" then
      error("a result's keys must be strings or numbers", 0)
    end
    count = count + 1
    parts[count] = encode_string(kind == "string" and key or format("%s", key)) .. ":" .. encode(item, depth + 1)
  end
  return "{" .. concat(parts, ",") .. "}"
end

function encode(value, depth)
  local kind = type(value)
  if kind == "string" then
    return encode_string(value)
  elseif kind == "number" then
    if math_type(value) == "integer" then
      return format("%d", value)
    elseif value ~= value or value == huge or value == -huge then
      return "null"
    end
    return format("%.17g", value)
  elseif kind == "boolean" then
    return value and "true" or "false"
  elseif kind == "nil" then
    return "null"
  elseif kind == "table" then
    return encode_table(value, depth)
  end
  return encode_string("<" .. kind .. ">")
end

local UNESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }

local function decode_unicode(text, position)
  local code = tonumber(sub(text, position, position + 3), 16)
  if not code then
    error("malformed JSON", 0)
  end
  position = position + 4
  if code >= 0xD800 and code < 0xDC00 and sub(text, position, position + 1) == "\\u" then
    local low = tonumber(sub(text, position + 2, position + 5), 16) or 0
    if low >= 0xDC00 and low < 0xE000 then
      return utf8_char(0x10000 + (code - 0xD800) * 0x400 + (low - 0xDC00)), position + 6
    end
  end
  if code >= 0xDC80 and code <= 0xDCFF then
    return char(code - 0xDC00), position
  end
  return utf8_char(code), position
end

local function decode_string(text, position)
  local stop = find(text, '["\\]', position)
  if stop and byte(text, stop) == 34 then
    return sub(text, position, stop - 1), stop + 1
  end
  local parts, count = {}, 0
  while stop do
    count = count + 1
    parts[count] = sub(text, position, stop - 1)
    if byte(text, stop) == 34 then
      return concat(parts), stop + 1
    end
    local escape = sub(text, stop + 1, stop + 1)
    count = count + 1
    if escape == "u" then
      parts[count], position = decode_unicode(text, stop + 2)
    else
      parts[count] = UNESCAPES[escape] or error("malformed JSON", 0)
      position = stop + 2
    end
    stop = find(text, '["\\]', position)
  end
  error("malformed JSON", 0)
end

local decode_value

local function skip(text, position)
  return find(text, "[^ \t\r\n]", position) or error("malformed JSON", 0)
end

local function decode_members(text, position, closing, keyed, depth)
  local found, index = {}, 0
  position = skip(text, position)
  if byte(text, position) == closing then
    return found, position + 1
  end
  while true do
    local key
    if keyed then
      if byte(text, position) ~= 34 then
        error("malformed JSON", 0)
      end
      key, position = decode_string(text, position + 1)
      position = skip(text, position)
      if byte(text, position) ~= 58 then
        error("malformed JSON", 0)
      end
      position = position + 1
    else
      index = index + 1
      key = index
    end
    found[key], position = decode_value(text, skip(text, position), depth + 1)
    position = skip(text, position)
    local after = byte(text, position)
    if after == closing then
      return found, position + 1
    elseif after ~= 44 then
      error("malformed JSON", 0)
    end
    position = skip(text, position + 1)
  end
end

local LITERALS = { t = { "true", true }, f = { "false", false }, n = { "null", nil } }

function decode_value(text, position, depth)
  if depth > MAX_DEPTH then
    error("JSON nests too deeply", 0)
  end
  local first = sub(text, position, position)
  if first == '"' then
    return decode_string(text, position + 1)
  elseif first == "{" then
    return decode_members(text, position + 1, 125, true, depth)
  elseif first == "[" then
    return decode_members(text, position + 1, 93, false, depth)
  end
  local literal = LITERALS[first]
  if literal and sub(text, position, position + #literal[1] - 1) == literal[1] then
    return literal[2], position + #literal[1]
  end
  local _, stop = find(text, "^-?%d+%.?%d*[eE]?[+-]?%d*", position)
  local number = stop and tonumber(sub(text, position, stop))
  if not number then
    error("malformed JSON", 0)
  end
  return number, stop + 1
end

local function decode(text)
  local value, position = decode_value(text, skip(text, 1), 0)
  if find(text, "[^ \t\r\n]", position) then
    error("malformed JSON", 0)
  end
  return value
end

---------------------------------------------------------------------------------------------
-- Frames
---------------------------------------------------------------------------------------------

local function send(header, payload)
  if payload and payload ~= "" then
    header.bytes = #payload
    stdout:write(encode(header, 0), "\n", payload)
  else
    stdout:write(encode(header, 0), "\n")
  end
  stdout:flush()
end

local function read_frame()
  local line = stdin:read("L")
  if not line then
    exit(0, false)
  end
  local header = decode(line)
  local payload = ""
  if header.bytes and header.bytes > 0 then
    payload = stdin:read(header.bytes) or ""
  end
  return header, payload
end

-- A frame that was read in half cannot be told from the next: nothing may go on after one.
local function receive()
  local sound, header, payload = pcall(read_frame)
  if sound then
    return header, payload
  end
  send({ limit = header == OUT_OF_MEMORY and "memory" or "frame" })
  exit(1, false)
end

local settings = receive()

---------------------------------------------------------------------------------------------
-- Limits: at one of them the process ends, because a script could catch an error
---------------------------------------------------------------------------------------------

local used, printed = 0, 0
local pending, pending_bytes = {}, 0

local function flush_output()
  if pending_bytes > 0 then
    local text = concat(pending)
    pending, pending_bytes = {}, 0
    send({ print = true }, text)
  end
end

local function give_up(limit)
  flush_output()
  send({ limit = limit })
  exit(0, false)
end

local function charge()
  used = used + HOOK_INSTRUCTIONS
  if used > settings.instructions then
    give_up("instructions")
  end
end

local function print_line(...)
  local count = select("#", ...)
  local words = { ... }
  for index = 1, count do
    words[index] = tostring(words[index])
  end
  local line = concat(words, "\t", 1, count) .. "\n"
  printed = printed + #line
  if printed > settings.output_bytes then
    give_up("output")
  end
  pending[#pending + 1] = line
  pending_bytes = pending_bytes + #line
  if pending_bytes >= FLUSH_BYTES then
    flush_output()
  end
end

---------------------------------------------------------------------------------------------
-- Calls of the tool server's operations
---------------------------------------------------------------------------------------------

local function call(operation, arguments, payload)
  flush_output()
  local encoded = encode(arguments, 0)
  if #encoded > MAX_ARGUMENT_BYTES then
    return nil, operation .. ": the arguments are too large", "too_large"
  elseif encoded == "[]" then
    encoded = "{}"
  end
  payload = payload or ""
  if type(payload) ~= "string" then
    return nil, operation .. ": the data must be a string", "invalid_argument"
  elseif #payload > MAX_PAYLOAD_BYTES then
    return nil, operation .. ": the data is too large", "too_large"
  end
  stdout:write(format('{"call":"%s","args":', operation), encoded, format(',"bytes":%d}\n', #payload), payload)
  stdout:flush()
  local reply, data = receive()
  if reply.ok then
    return reply.result or {}, data
  end
  return nil, reply.message or "failed", reply.code or "internal"
end

---------------------------------------------------------------------------------------------
-- The environment of scripts
---------------------------------------------------------------------------------------------

local function copy(source, names)
  local target = {}
  for _, name in ipairs(names) do
    target[name] = source[name]
  end
  return target
end

local function bounded_rep(text, count, separator)
  text = type(text) == "number" and tostring(text) or text
  local times = tonumber(count)
  if type(text) == "string" and times and times > 1 then
    local unit = #text + #tostring(separator or "")
    if unit * times > MAX_REPEAT_BYTES then
      error("string.rep: the result is too large", 2)
    end
  end
  return rep(text, count, separator)
end

local function safe_setmetatable(target, metatable)
  -- A finaliser runs with the instruction count switched off.
  if type(metatable) == "table" and rawget(metatable, "__gc") ~= nil then
    error("setmetatable: `__gc` is not available", 2)
  end
  if type(target) ~= "table" then
    error("setmetatable: a table is needed", 2)
  end
  return setmetatable(target, metatable)
end

local function watch(thread)
  charge()
  sethook(thread, charge, "", HOOK_INSTRUCTIONS)
  return thread
end

local function safe_wrap(body)
  local thread = watch(coroutine.create(body))
  return function(...)
    local results = table.pack(coroutine.resume(thread, ...))
    if not results[1] then
      coroutine.close(thread)
      error(results[2], 0)
    end
    return unpack(results, 2, results.n)
  end
end

local function new_globals(tools)
  local globals = copy(_G, {
    "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget",
    "rawlen", "rawset", "select", "tonumber", "tostring", "type", "xpcall", "_VERSION",
  })
  globals._G = globals
  globals.print = print_line
  globals.setmetatable = safe_setmetatable
  globals.collectgarbage = function(option)
    if option == nil or option == "count" then
      return collectgarbage("count")
    end
    return 0
  end
  globals.load = function(chunk, name, _, ...)
    local environment = globals
    if select("#", ...) > 0 then
      environment = (...)
    end
    if type(chunk) ~= "string" then
      return nil, "load: only text can be loaded"
    end
    return load(chunk, type(name) == "string" and name or "=load", "t", environment)
  end
  globals.string = copy(string, {
    "byte", "char", "find", "format", "gmatch", "gsub", "len", "lower", "match", "pack",
    "packsize", "reverse", "sub", "unpack", "upper",
  })
  globals.string.rep = bounded_rep
  globals.table = copy(table, { "concat", "insert", "move", "pack", "remove", "sort", "unpack" })
  globals.math = copy(math, {
    "abs", "acos", "asin", "atan", "ceil", "cos", "deg", "exp", "floor", "fmod", "huge", "log",
    "max", "maxinteger", "min", "mininteger", "modf", "pi", "rad", "random", "randomseed", "sin",
    "sqrt", "tan", "tointeger", "type", "ult",
  })
  globals.utf8 = copy(utf8, { "char", "charpattern", "codepoint", "codes", "len", "offset" })
  globals.coroutine = copy(coroutine, { "close", "isyieldable", "resume", "running", "status", "yield" })
  globals.coroutine.create = function(body)
    return watch(coroutine.create(body))
  end
  globals.coroutine.wrap = safe_wrap
  globals.json = { encode = function(value) return encode(value, 0) end, decode = decode }
  globals.clock = clock
  globals.jido = tools(call, decode, encode)
  return globals
end

-- Methods of strings reach the bounded functions, and the metatable itself is out of reach.
local function close_string_methods(globals)
  local of_strings = getmetatable("")
  of_strings.__index = globals.string
  of_strings.__metatable = false
end

---------------------------------------------------------------------------------------------
-- Running scripts
---------------------------------------------------------------------------------------------

local function compile(script, name, globals)
  local chunk = load("return " .. script, "=" .. name, "t", globals)
  if chunk then
    return chunk
  end
  return load(script, "=" .. name, "t", globals)
end

local function describe_error(value)
  if type(value) == "string" then
    return value
  end
  local sound, text = pcall(tostring, value)
  return sound and type(text) == "string" and text or "an error that is not a string"
end

-- One value as itself, several as a list in which nil keeps its place.
local function encode_results(results)
  if results.n <= 2 then
    return encode(results[2], 0)
  end
  local parts = {}
  for index = 2, results.n do
    parts[index - 1] = encode(results[index], 1)
  end
  return "[" .. concat(parts, ",") .. "]"
end

local function run(chunk, complaint)
  if not chunk then
    return false, complaint
  end
  local thread = coroutine.create(chunk)
  used, printed = 0, 0
  sethook(thread, charge, "", HOOK_INSTRUCTIONS)
  local results = table.pack(coroutine.resume(thread))
  if results[1] and coroutine.status(thread) ~= "dead" then
    coroutine.close(thread)
    return false, "the script yielded outside of a coroutine"
  end
  if not results[1] then
    local trouble = results[2]
    coroutine.close(thread)
    sethook(charge, "", HOOK_INSTRUCTIONS)
    local text = describe_error(trouble)
    sethook()
    return false, text
  end
  return pcall(encode_results, results)
end

local directory = gsub(arg[0], "[^/]*$", "")
local tools = assert(loadfile(directory .. "tools.lua", "t"))()
local globals = new_globals(tools)
close_string_methods(globals)
local project = assert(loadfile(directory .. "project_tools.lua", "t"))()(function()
  return new_globals(tools)
end, decode)
globals.jido.tools = project.exposed

-- What a request asks for, as a function: a script, a project tool's call or its declaration.
local function requested(header, payload)
  local script = project.take(header, payload)
  if header.describe then
    return project.describer(header.describe, script)
  elseif header.tool then
    return project.caller(header.tool, script)
  end
  return compile(script, header.name or "script", globals)
end

while true do
  local sound, text = run(requested(receive()))
  if not sound and text == OUT_OF_MEMORY then
    give_up("memory")
  elseif not sound then
    text = sub(text, 1, MAX_MESSAGE_BYTES)
  elseif #text > MAX_PAYLOAD_BYTES then
    give_up("output")
  end
  flush_output()
  send({ done = true, ok = sound }, text)
  collectgarbage("step")
end
