--- One run of the experiment: a store with some history, publishers, a catch-up process that
--- renames the stream meanwhile, and, when that is wanted, kill -9 of them.

local experiment = require "experiment"
local proof = require "proof"

local round = {}

local LIMIT = 120 -- seconds, after which `timeout` ends a process that was forgotten

-- ---------------------------------------------------------------- processes

local Process = {}
Process.__index = Process

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

--- Starts a script that is beside this one; it finds the modules that this process finds.
local function start(script, ...)
  local words = { "LUA_PATH=" .. quoted(package.path), "LUA_CPATH=" .. quoted(package.cpath),
    "exec lua5.4", quoted(package.searchpath(script, package.path)) }
  for _, word in ipairs { ... } do words[#words + 1] = quoted(tostring(word)) end
  local pipe = assert(io.popen(("exec timeout -s KILL %d sh -c %s </dev/null"):format(LIMIT,
    quoted("echo $$; " .. table.concat(words, " "))), "r"))
  return setmetatable({ pipe = pipe, pid = math.tointeger(pipe:read("l")) }, Process)
end

--- Waits for its end; whether it ended well.
function Process:wait()
  if not self.pipe then return self.is_good end
  self.pipe:read("a")
  self.is_good = self.pipe:close() == true
  self.pipe = nil
  return self.is_good
end

function Process:kill()
  if self.pipe then os.execute(("kill -9 %d 2>/dev/null"):format(self.pid)) end
  self:wait()
end

local function start_publisher(options, number)
  local process = start("publisher", options.directory, number, options.styles[number],
    options.unit)
  assert(process.pipe:read("l") == "publishing", "a publisher did not start")
  return process
end

local function start_catchup(options)
  return start("catchup", options.directory, options.catchup, options.chunk, options.rest)
end

-- ---------------------------------------------------------------- the run

local function prepare(options)
  local store = experiment.open(options.directory)
  store:set_route(experiment.route, experiment.source)
  store:batch(function(batch)
    for number = 1, options.history do
      batch:append(experiment.source, { type = "OrderPlaced",
        data = { publisher = 0, number = number } })
    end
  end)
  return store
end

--- Where the rename is: what a catch-up process that is killed now leaves behind.
local function phase(options, store)
  if options.catchup == "switcher" then
    local file <close> = io.open(options.directory .. "/current")
    if file then return "switched" end
  elseif store:route(experiment.source) then
    return "switched"
  end
  return store:stream_version(experiment.target, { raw = true }) < 0 and "new" or "linking"
end

--- Kills as the plan says, and starts again what was killed. `kills` counts what.
local function kill(options, store, crew, kills)
  for _, plan in ipairs(options.kills) do
    store:wait(math.maxinteger, plan.pause)
    if plan.victim == 0 then
      crew[0]:kill()
      local what = crew[0].is_good and "late" or phase(options, store)
      kills[what] = kills[what] + 1
      crew[0] = start_catchup(options)
    else
      crew[plan.victim]:kill()
      kills.publishers = kills.publishers + 1
      crew[plan.victim] = start_publisher(options, plan.victim)
    end
  end
end

--- Waits until there are so many events more.
local function let_publish(store, count)
  assert(store:wait(store:head() + count - 1, LIMIT), "the publishers do not publish")
end

local function end_crew(crew)
  for number = 0, #crew do
    if crew[number] then crew[number]:kill() end
  end
end

--- Runs it in a directory that is there and empty. Gives what proof.check gives, and `kills`: of
--- publishers, and of catch-up processes by where the rename was ("late": it had ended).
---   styles   a list: how each publisher names the stream (publisher.lua)
---   catchup  "rename" or "switcher"
---   history  events that the source has before
---   chunk    events linked at a time
---   unit     the longest pause of a publisher between two events, in milliseconds
---   rest     likewise, of the catch-up process between two chunks
---   kills    a list of { pause = seconds, victim = publisher, or 0 for the catch-up process }
---   before, after   events that are published without the catch-up process, at least
---@param options table
---@return table
function round.run(options)
  local store = prepare(options)
  local crew <close> = setmetatable({}, { __close = end_crew })
  local kills = { publishers = 0, new = 0, linking = 0, switched = 0, late = 0 }
  for number = 1, #options.styles do crew[number] = start_publisher(options, number) end
  let_publish(store, options.before)
  crew[0] = start_catchup(options)
  kill(options, store, crew, kills)
  assert(crew[0]:wait(), "the catch-up process failed")
  let_publish(store, options.after)
  store:set_checkpoint(experiment.stop, 1)
  for number, publisher in ipairs(crew) do
    assert(publisher:wait(), ("publisher %d failed"):format(number))
  end
  store:close()
  local again <close> = experiment.open(options.directory)
  local facts = proof.check(again, options.directory, #options.styles)
  facts.kills, facts.history = kills, options.history
  return facts
end

return round
