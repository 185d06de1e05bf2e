--- Who takes part in a match: a read model that is built when it is first asked for, while several
--- processes sell and ask, and its proof.
---
---   lua5.4 examples/match_participants/match_participants.lua [SECONDS]
---
--- It is that of "Using streams to build read models" (Arkency): a stream for each match gets links
--- to the tickets and yearpasses sold for it; the old ones are linked the first time that somebody
--- asks, once, under a lock. Here publishers sell before the model is deployed, while it is, and
--- afterwards; some sales are recorded late, so that the order of time is not that of the log; and
--- publishers and askers are killed all the time. Each answer that any of them got must be the fold
--- of exactly the sales up to its position (proof.lua).

local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path
local experiment = require "experiment"
local proof = require "proof"

local seconds = tonumber(arg[1] or 3)
if not seconds or seconds <= 0 then
  io.stderr:write("usage: lua5.4 match_participants.lua [SECONDS]\n")
  os.exit(2)
end

local PUBLISHERS, ASKERS, OLD = 2, 3, 4000
local directory = "match_participants.tmp"
assert(os.execute(("rm -rf %s && mkdir %s"):format(directory, directory)))
local store = experiment.open(directory)

local function pause(most) store:wait(math.maxinteger, math.random() * most) end

-- The old sales. Yearpasses are found by their season, so their type is deployed from the start.
store:deploy { files = { here .. "/events" } }
for _, match in ipairs(experiment.matches) do
  store:append("match-" .. match, { type = "MatchScheduled", time = 0,
    data = { match = match, season = experiment.season } })
end
for _ = 1, OLD // 500 do
  store:batch(function(batch)
    for _ = 1, 500 do batch:append(experiment.sale()) end
  end)
end
print(("%d old sales"):format(OLD))

-- Publishers sell; then the model is deployed; then others ask.
local crew = {}
local function start(role, number)
  crew[role .. number] = { role = role, number = number,
    process = experiment.start(role, directory, number) }
end
for number = 1, PUBLISHERS do start("publisher", number) end
pause(0.3)
store:deploy { files = { here .. "/read_models" } }
print(("the model is deployed while %d processes sell"):format(PUBLISHERS))
for number = 1, ASKERS do start("asker", number) end

local names = {}
for name in pairs(crew) do names[#names + 1] = name end
table.sort(names)
local kills, model = 0, store:model(experiment.model)
local deadline = os.time() + math.ceil(seconds)
while os.time() < deadline do
  pause(0.15)
  local victim = crew[names[math.random(#names)]]
  victim.process:kill()
  kills = kills + 1
  if math.random(3) == 1 then model:forget(experiment.matches[math.random(12)]) end
  start(victim.role, victim.number)
end
store:set_checkpoint(experiment.stop, 1)
for _, name in ipairs(names) do assert(crew[name].process:wait(), name .. " failed") end

local answers, wrong = proof.compare(store, directory, ASKERS)
local differ, doubled = proof.check_instances(store, model)
print(("%d sales in the end; %d processes killed and started again"):format(
  store:read():of_type("TicketBought", "TicketReturned", "YearpassBought"):count(), kills))
print(("%d answers, %d of them not the fold of the sales up to their position"):format(answers,
  wrong))
print(("%d instances, %d not as a fresh fold, %d events twice"):format(#experiment.matches, differ,
  doubled))
local findings = store:verify().findings
print(("%d findings of verify"):format(#findings))
assert(answers > 100 and kills > 5, "too little happened")
local is_proved = wrong + differ + doubled + #findings == 0
print(is_proved and "proved: each answer has exactly the sales up to its position" or "NOT proved")
model:close()
store:close()
if is_proved then os.execute("rm -rf " .. directory) end
os.exit(is_proved and 0 or 1, true)
