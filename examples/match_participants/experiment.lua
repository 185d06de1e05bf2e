--- What the processes share: the store, what is sold, and the processes themselves.
local tycho = require "tycho"

local experiment = {
  model = "MatchParticipants",
  season = "2026",
  matches = {}, -- "2026-1" to "2026-12"
  stop = "stop", -- a checkpoint: all end when it is set
}

for round = 1, 12 do
  experiment.matches[round] = ("%s-%d"):format(experiment.season, round)
end

local PEOPLE = 300
local LATE = 2000000 -- microseconds by which a sale may be recorded too late
local LIMIT = 120 -- seconds, after which `timeout` ends a process that was forgotten

function experiment.open(directory) return tycho.open(directory .. "/store") end

function experiment.answers_of(directory, number)
  return ("%s/%d.answers"):format(directory, number)
end

local function pick(list) return list[math.random(#list)] end

--- A sale: the stream, and the event. One of four is recorded late, with the time it really had.
function experiment.sale()
  local person = ("person-%d"):format(math.random(PEOPLE))
  local time = tycho.now() - (math.random(4) == 1 and math.random(LATE) or 0)
  local chance = math.random(20)
  if chance == 1 then
    local from = math.random(#experiment.matches)
    return "yearpasses", {
      type = "YearpassBought", time = time, data = {
        person = person, season = experiment.season,
        matches = table.move(experiment.matches, from, #experiment.matches, 1, {}),
      },
    }
  end
  local match = pick(experiment.matches)
  return "match-" .. match, {
    type = chance < 16 and "TicketBought" or "TicketReturned", time = time,
    data = { person = person, match = match },
  }
end

--- A state as one number, to be compared: the tables of a state have no order.
function experiment.digest(tickets, yearpasses, last_buyer)
  local lines = { "last " .. tostring(last_buyer) }
  for person, count in pairs(tickets) do lines[#lines + 1] = ("%s %d"):format(person, count) end
  for person in pairs(yearpasses) do lines[#lines + 1] = person .. " yearpass" end
  table.sort(lines)
  return tycho.hash(table.concat(lines, "\n"))
end

-- ---------------------------------------------------------------- processes

local Process = {}
Process.__index = Process

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

--- Starts a script that is beside this one, and waits until it says that it is ready.
function experiment.start(script, ...)
  local words = { "LUA_PATH=" .. quoted(package.path), "LUA_CPATH=" .. quoted(package.cpath),
    "exec lua5.4", quoted(package.searchpath(script, package.path)) }
  for _, word in ipairs { ... } do words[#words + 1] = quoted(tostring(word)) end
  local pipe = assert(io.popen(("exec timeout -s KILL %d sh -c %s </dev/null"):format(LIMIT,
    quoted("echo $$; " .. table.concat(words, " "))), "r"))
  local process = setmetatable({ pipe = pipe, pid = math.tointeger(pipe:read("l")) }, Process)
  assert(pipe:read("l") == "ready", script .. " did not start")
  return process
end

--- Waits for its end; whether it ended well.
function Process:wait()
  self.pipe:read("a")
  return self.pipe:close() == true
end

function Process:kill()
  os.execute(("kill -9 %d 2>/dev/null"):format(self.pid))
  self:wait()
end

return experiment
