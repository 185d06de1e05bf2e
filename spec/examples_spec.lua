--- Runs each program below examples/ in an empty directory and compares what it prints with what
--- `expected.txt` beside it says. A program is NAME/NAME.lua, NAME/NAME.c or NAME/NAME.sh. A number
--- that depends on the moment is `#` in expected.txt. The demo reads what the machine has, so only
--- what does not depend on it is compared.

local tree = require "support.tree"

local ENVIRONMENT = [[export PATH=ROOT:$PATH LUA_CPATH='ROOT/build/lua/?.so;;'
  export LUA_PATH='ROOT/scripts/?.lua;ROOT/scripts/?/init.lua;;'
  cd PLACE; ]]

local RUNNERS = {
  lua = "lua5.4 %s",
  c = "gcc -std=c11 -Wall -Wextra -Werror -IROOT/engine -o program %s -LROOT/build -ltycho"
    .. " -Wl,-rpath,ROOT/build && ./program",
  sh = "sh -eu %s",
}

describe("the example", function()
  local place, root

  before_each(function()
    root = tree.root()
    place = tree.make_directory()
  end)

  after_each(function() tree.remove_directory(place) end)

  local function filled(text)
    return (text:gsub("ROOT", root):gsub("PLACE", place))
  end

  --- The output, with `#` for the numbers that are so in the text that is expected.
  local function masked(output, expected)
    local pattern = expected:gsub("%p", "%%%0"):gsub("%%#", "%%d+")
    return output:match("^" .. pattern .. "$") and expected or output
  end

  local count = 0
  for name in tree.must("ls examples"):gmatch("%S+") do
    local folder = ("examples/%s/"):format(name)
    for extension, runner in pairs(RUNNERS) do
      local program = folder .. name .. "." .. extension
      if name ~= "demo" and tree.run("test -e " .. program) then
        count = count + 1
        it(program .. " prints what is expected", function()
          local command = runner:format(root .. "/" .. program)
          local output = tree.must(filled(ENVIRONMENT .. command))
          local expected = tree.read_file(folder .. "expected.txt")
          assert.equal(expected, masked(output, expected))
        end)
      end
    end
  end

  it("directory has a program for each folder but the demo", function()
    local _, folders = tree.must("ls examples"):gsub("%S+", "")
    assert.equal(folders - 1, count)
  end)
end)

describe("make demo", function()
  it("imports, links, folds, renames and verifies", function()
    local place = tree.make_directory()
    local lines = {}
    for index = 1, 1500 do
      lines[index] = ('{"stream":"order-%d","type":"OrderPlaced","time":"1999-12-31T10:00:00Z"}')
        :format(index % 7)
    end
    tree.write_file(place .. "/events.ndjson", table.concat(lines, "\n") .. "\n")
    local demo = "make --no-print-directory demo DEMO=%s/demo FILE=%s/events.ndjson"
    local output = tree.must(demo:format(place, place))
    assert.match("/events.ndjson\n  1,500 events in", output)
    local stats = tree.must(("./tycho stats --json --store %s/demo/store"):format(place))
    local events = math.tointeger(stats:match('"events": ?(%d+)'))
    assert.is_true(events >= 1500)
    assert.is_true(math.tointeger(stats:match('"links": ?(%d+)')) >= events)
    assert.match("events? before the switch and", output)
    assert.match("are in busiest%-day, once and in order", output)
    local day = tree.must(("./tycho read --json --store %s/demo/store day-1999-12-31"
      .. " --type OrderPlaced | wc -l"):format(place))
    assert.equal("1500", day:match("%d+"))
    tree.remove_directory(place)
  end)
end)
