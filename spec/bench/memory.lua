--- What a process that writes to a store and reads from it has in memory, pages of the map not
--- counted: a run of `make bench`, which gives the store, the name of the figure and how many
--- events there are. A line "name <tab> unit <tab> value".
local tycho = require "tycho"

local path, name, events = arg[1], arg[2], math.tointeger(tonumber(arg[3]))
if not path or not name or not events then
  io.stderr:write("usage: memory.lua STORE NAME EVENTS\n")
  os.exit(2)
end

local MARKS = 1 << 19 -- the option that bounds what grows with the size

local store <close> = tycho.open(path, { mode = "existing", marks_max = MARKS })
for _ = 1, 20 do
  local batch = {}
  for index = 1, 500 do
    batch[index] = { type = "item_added", data = { amount = index }, tags = { "region:1" } }
  end
  store:append("cart-" .. #batch, batch)
end
local count = 0
for index = 1, 200 do
  local stream = "account-" .. index * 7919 % (events // 2000)
  for _ in store:read():stream(stream):each() do count = count + 1 end
end
assert(count > 0, "no events were read")
collectgarbage()
for line in io.lines("/proc/self/smaps_rollup") do
  local kilobytes = line:match("^Anonymous:%s*(%d+) kB")
  if kilobytes then print(("%s\tbytes\t%d"):format(name, kilobytes * 1024)) end
end
