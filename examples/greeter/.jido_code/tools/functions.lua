-- A tool of this project. It counts once `jido trust` accepted exactly this text; then the agent
-- has it, scripts call it as jido.tools.functions{}, and `jido lua --tool functions` runs it.

return {
  name = "functions",
  description = "Lists the functions that Python files define, each with its place.",
  parameters = {
    type = "object",
    properties = {
      glob = { type = "string", description = "Which files; all Python files when left out." },
    },
  },
  run = function(arguments)
    local hits = assert(jido.grep("^\\s*def \\w+", { glob = arguments.glob or "*.py" }))
    local found = {}
    for index, hit in ipairs(hits) do
      local name = hit.text:match("def%s+([%w_]+)")
      found[index] = { name = name, path = hit.path, line = hit.line }
    end
    return found
  end,
}
