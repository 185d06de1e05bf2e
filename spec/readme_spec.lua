--- Runs what README.md tells people to type. The blocks marked `lua`, `c` or `sh` are run in one
--- directory, one after the other, as who reads the page types them; a block marked `text` that
--- follows one is what it must print. Blocks with another mark (`console`) are for reading.

local tree = require "support.tree"

local RUNNERS = {
  lua = "cat >example.lua && lua5.4 example.lua",
  c = "cat >example.c && gcc -std=c11 -Wall -Wextra -Werror -I$TREE/engine -o example example.c"
    .. " -L$TREE/build -ltycho -Wl,-rpath,$TREE/build && ./example",
  sh = "cat >example.sh && sh -eu example.sh",
}

--- The fenced blocks of a text, in order: mark, text, first line, expected output.
local function blocks_of(text)
  local list, block, number = {}, nil, 0
  for line in text:gmatch("([^\n]*)\n") do
    number = number + 1
    local mark = line:match("^```(.*)$")
    if mark and not block then
      block = { mark = mark, line = number, lines = {} }
    elseif mark then
      local body = table.concat(block.lines, "\n") .. "\n"
      if block.mark == "text" and #list > 0 then
        list[#list].expected = body
      else
        list[#list + 1] = { mark = block.mark, line = block.line, text = body }
      end
      block = nil
    elseif block then
      block.lines[#block.lines + 1] = line
    end
  end
  return list
end

describe("README.md", function()
  local place, environment

  setup(function()
    place = tree.make_directory()
    local root = tree.root()
    environment = ([[export TREE=ROOT PATH=ROOT:$PATH LUA_CPATH='ROOT/build/lua/?.so;;'
      export LUA_PATH='ROOT/scripts/?.lua;ROOT/scripts/?/init.lua;;'
      cd PLACE; ]]):gsub("ROOT", root):gsub("PLACE", place)
  end)

  teardown(function() tree.remove_directory(place) end)

  local count = {}
  for _, block in ipairs(blocks_of(tree.read_file("README.md"))) do
    local runner = RUNNERS[block.mark]
    if runner then
      count[block.mark] = (count[block.mark] or 0) + 1
      it(("shows %s at line %d that works"):format(block.mark, block.line), function()
        tree.write_file(place .. "/input", block.text)
        local runner_with_input = runner:gsub("^cat ", "cat input ")
        local output = tree.must(environment .. runner_with_input)
        if block.expected then assert.equal(block.expected, output) end
      end)
    end
  end

  it("shows Lua, C and the command", function()
    assert.is_true((count.lua or 0) >= 1 and (count.c or 0) >= 1 and (count.sh or 0) >= 1)
  end)

end)

describe("Each page", function()
  it("names only files that exist", function()
    local missing = {}
    local function need(path)
      if not tree.run("test -e " .. tree.quoted(path)) then missing[#missing + 1] = path end
    end
    for _, page in ipairs { "README.md", "LIMITS.md", "SECURITY.md" } do
      local text = tree.read_file(page)
      for path in text:gmatch("%]%(([^)#:]+)%)") do need(path) end
      for path in text:gmatch("`(spec/[%w_./]+)`") do need(path) end
    end
    assert.same({}, missing)
  end)
end)

describe("tycho(1)", function()
  it("names each verb that the command has, and its exit codes", function()
    local help = tree.must("./tycho --help")
    local page = tree.read_file("scripts/tycho.1")
    local missing, count = {}, 0
    for verb in help:match("Commands:\n(.-)\n\n"):gmatch("%f[^\n\0]   (%l+) ") do
      count = count + 1
      if not page:find("\n%.BR? [%l\", ]*%f[%l]" .. verb .. "%f[%L]") then
        missing[#missing + 1] = verb
      end
    end
    assert.is_true(count > 10)
    assert.same({}, missing)
    for code in help:match("Exit codes:(.*)"):gmatch("%d+") do
      assert.match("%f[%d]" .. code .. " %l", page)
    end
  end)
end)
