-- Run as `luacheck .`; the code is Lua 5.4.
std = "lua54"
max_line_length = 100
exclude_files = { "build", "scripts/tycho/meta*.lua", "spec/sandbox" }
files["spec"] = { std = "+busted" }
files[".busted"] = { std = "min" }
