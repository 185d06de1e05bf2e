--- Replaying a store in Lua, the events of each type counted: a run of `make bench`, which gives
--- the store and the name of the figure. By the clock on the wall, as for the peers, and the second
--- time, when all is in memory.
local tycho = require "tycho"

local path, name = arg[1], arg[2]
if not path or not name then
  io.stderr:write("usage: replay.lua STORE NAME\n")
  os.exit(2)
end

local store <close> = tycho.open(path, { mode = "existing" })

local function replay()
  local counts, begun = {}, tycho.now()
  for event in store:read():each() do
    local kind = event.type
    counts[kind] = (counts[kind] or 0) + 1
  end
  local seconds, sum = (tycho.now() - begun) / 1e6, 0
  for _, count in pairs(counts) do sum = sum + count end
  assert(sum == store:head(), "not all events were read")
  return sum / seconds
end

replay()
print(("%s\tevents/s\t%.6g"):format(name, replay()))
