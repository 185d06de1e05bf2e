--- Sells tickets and yearpasses until it is told to stop, or killed.
---
---   lua5.4 publisher.lua DIRECTORY NUMBER

local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path
local experiment = require "experiment"

math.randomseed(arg[2] * 7919 + os.time())
local store <close> = experiment.open(arg[1])
io.stdout:write("ready\n")
io.stdout:flush()
while store:checkpoint(experiment.stop) == 0 do
  store:batch(function(batch)
    for _ = 1, math.random(5) do batch:append(experiment.sale()) end
  end)
  store:wait(math.maxinteger, math.random() * 0.003)
end
