--- Publishes numbered events, resting now and then (for REST seconds), until it is ended. Behind
--- event QUICK they come one by one, each followed by a longer rest: no machine is so slow that it
--- is outrun by that.
--- backfill_publisher.lua STORE NAME LARGEST-BATCH [REST [QUICK]]
local backfilling = require "support.backfilling"
local tycho = require "tycho"

local path, name, largest = arg[1], arg[2], math.tointeger(tonumber(arg[3]))
local store <close> = tycho.open(path, { sync = "none" })
local rest = tonumber(arg[4] or 0.002)
local quick = tonumber(arg[5]) or math.huge
local stream, number = "orders-" .. name, 0
io.stdout:write("publishing\n")
io.stdout:flush()
while true do
  local events, is_quick = {}, number < quick
  for index = 1, is_quick and number % largest + 1 or 1 do
    local id = ("%s-%d"):format(name, number + index)
    events[index] = backfilling.event(number + index, id)
  end
  store:append(stream, events)
  number = number + #events
  if number % 3 == 0 or not is_quick then
    store:wait(math.maxinteger, is_quick and rest or 10 * rest)
  end
end
