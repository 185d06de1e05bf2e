--- A process that writes until it has written enough or is killed, and says in a file what was
--- acknowledged: lines "round events" in WORK/NAME.ack, each one write(2) of 16 bytes, because the
--- kernel may cut a killed process's write off where a page ends.
---
---   lua5.4 writer.lua STORE WORK NAME ROUNDS SYNC [REST]
---
--- One round is one batch: 1 to 4 events in the writer's own stream, the first of them linked into
--- "links", one event in "shared" at the version that was read before, and a row that counts the
--- rounds. So a round that is there in part would show. Ids are NAME-ROUND-INDEX. It rests for REST
--- seconds behind each round.

local tycho = require "tycho"

local path, work, name, rounds, sync, rest = table.unpack(arg)
local store <close> = tycho.open(path, { sync = sync })
local acknowledged = assert(io.open(work .. "/" .. name .. ".ack", "a"))
acknowledged:setvbuf("no")

local function events_of(round)
  local list = {}
  for index = 1, 1 + round % 4 do
    list[index] = { id = ("%s-%d-%d"):format(name, round, index), type = "written",
      data = { round = round, text = ("x"):rep(round % 300) }, tags = { name } }
  end
  return list
end

local function write(round, events)
  local version = store:stream_version("shared")
  return store:batch(function(batch)
    batch:append("own-" .. name, events, { expected_version = round == 1 and "none" or "exists" })
    batch:append("shared", { id = ("%s-%d-shared"):format(name, round), type = "shared" },
      { expected_version = version < 0 and "none" or version })
    batch:link("links", events[1].id)
    batch:put_row("rounds", name, round)
  end)
end

local first = (store:row("rounds", name) or 0) + 1
io.stdout:write("writing\n")
io.stdout:flush()
for round = first, first + math.tointeger(tonumber(rounds)) - 1 do
  local events = events_of(round)
  local ok, err
  repeat
    ok, err = pcall(write, round, events)
    if not ok and err.code ~= "wrong_expected_version" then error(err, 0) end
  until ok
  acknowledged:write(("%11d %3d\n"):format(round, #events))
  if rest then store:wait(math.maxinteger, tonumber(rest)) end
end
