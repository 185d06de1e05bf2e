-- Run as `luacheck .`; the code is Lua 5.4.
std = "lua54"
max_line_length = 100
exclude_files = { "build", "scripts/tycho/meta.lua", "scripts/tycho/meta", "spec/sandbox" }
files["spec"] = { std = "+busted" }
files[".busted"] = { std = "min" }
-- Scripts that are deployed run in the sandbox, which has the constructors.
local scripts = { std = "lua54", read_globals = { "event_type", "linker", "read_model", "optional",
  "enum", "array", "map", "null", "binary" } }
files["examples/*/events"] = scripts
files["examples/*/linkers"] = scripts
files["examples/*/read_models"] = scripts
