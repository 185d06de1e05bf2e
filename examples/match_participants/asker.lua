--- Asks for the participants of matches until it is told to stop, or killed, and notes each answer
--- in a line of 36 bytes (which is one write, and so never cut): match, position, digest.
---
---   lua5.4 asker.lua DIRECTORY NUMBER

local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path
local experiment = require "experiment"

math.randomseed(arg[2] * 104729 + os.time())
local store <close> = experiment.open(arg[1])
local model <close> = store:model(experiment.model)
local answers = assert(io.open(experiment.answers_of(arg[1], arg[2]), "a"))
answers:setvbuf("no")
io.stdout:write("ready\n")
io.stdout:flush()
while store:checkpoint(experiment.stop) == 0 do
  local match = math.random(#experiment.matches)
  local state, answer = model:get(experiment.matches[match], { snapshot_after = 20 })
  assert(answers:write(("%3d %10d %20d\n"):format(match, answer.position,
    experiment.digest(state.tickets, state.yearpasses, state.last_buyer))))
  store:wait(math.maxinteger, math.random() * 0.004)
end
