--- Publishes numbered events, resting now and then (for REST seconds), until it is ended:
--- backfill_publisher.lua STORE NAME LARGEST-BATCH [REST]
local backfilling = require "support.backfilling"
local tycho = require "tycho"

local path, name, largest = arg[1], arg[2], math.tointeger(tonumber(arg[3]))
local store <close> = tycho.open(path, { sync = "none" })
local rest = tonumber(arg[4] or 0.002)
local stream, number = "orders-" .. name, 0
io.stdout:write("publishing\n")
io.stdout:flush()
while true do
  local events = {}
  for index = 1, number % largest + 1 do
    local id = ("%s-%d"):format(name, number + index)
    events[index] = backfilling.event(number + index, id)
  end
  store:append(stream, events)
  number = number + #events
  if number % 3 == 0 then store:wait(math.maxinteger, rest) end
end
