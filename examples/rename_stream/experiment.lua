--- What the processes of the experiment share: the names, the files, the switcher of the article.
---
---   DIRECTORY/store           the store
---   DIRECTORY/N.ack           what was acknowledged to publisher N: number, position, revision
---   DIRECTORY/N.conflict      what it was refused: version expected, version found, head before
---   DIRECTORY/current         the pointer of the article: the name of the current stream
---
--- A line of the first two is 32 bytes and one write(2), because the kernel may cut what a killed
--- process writes where a page ends.

local tycho = require "tycho"

local experiment = {
  source = "orders-2023", -- the stream that is renamed
  target = "orders", -- its new name
  route = "incoming", -- a name that leads to wherever orders go
  stop = "stop", -- a checkpoint: publishers end when it is set
}

local LINE = "%9d %9d %11d\n"
local FIELDS = "^ *(%-?%d+) +(%-?%d+) +(%-?%d+)$"

function experiment.open(directory)
  return tycho.open(directory .. "/store")
end

--- A file for lines, to be written behind what is there.
function experiment.append_to(directory, number, kind)
  local file = assert(io.open(("%s/%d.%s"):format(directory, number, kind), "a"))
  file:setvbuf("no")
  return function(...) assert(file:write(LINE:format(...))) end
end

--- The lines of a file, as lists of three integers; none when there is no file.
function experiment.lines_of(directory, number, kind)
  local list = {}
  local file <close> = io.open(("%s/%d.%s"):format(directory, number, kind))
  for line in file and file:lines() or function() end do
    local one, two, three = line:match(FIELDS)
    assert(one, ("a broken line in %d.%s: %s"):format(number, kind, line))
    list[#list + 1] = { math.tointeger(one), math.tointeger(two), math.tointeger(three) }
  end
  return list
end

--- What marks the events of a publisher.
function experiment.tag(number) return "publisher:" .. number end

--- The pointer of the article, outside of the store: a file, replaced as a whole.
local function file_pointer(path)
  return {
    get = function()
      local file <close> = io.open(path)
      return file and file:read("a") or experiment.source
    end,
    set = function(_, stream)
      local file = assert(io.open(path .. ".new", "w"))
      assert(file:write(stream))
      assert(file:close())
      assert(os.rename(path .. ".new", path))
    end,
  }
end

function experiment.switcher(store, directory, chunk)
  return require("tycho.stream_switch").switcher {
    store = store, source = experiment.source, target = experiment.target, lock = "orders",
    pointer = file_pointer(directory .. "/current"), chunk = chunk,
  }
end

--- Waits for a random time up to `unit` milliseconds; not at all when that is 0.
function experiment.pause(store, unit)
  if unit > 0 then store:wait(math.maxinteger, math.random() * unit / 1000) end
end

return experiment
