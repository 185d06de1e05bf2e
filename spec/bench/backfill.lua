--- Back-filling a linker over a million events, alone and while four processes publish: a run of
--- `make bench`, which gives a directory and the number of rounds. A line
--- "name <tab> unit <tab> value" a sample.
local process = require "support.process"
local tycho = require "tycho"

local directory, rounds = arg[1], math.tointeger(tonumber(arg[2]))
if not directory or not rounds then
  io.stderr:write("usage: backfill.lua DIRECTORY ROUNDS\n")
  os.exit(2)
end

local EVENTS, CUSTOMERS, FILL = 1000000, 10000, 10000
local PUBLISHERS, ALONE, DURING = 4, 3, 6
local VERSION = [[
return linker {
  name = "%s", version = %d, from = { types = { "OrderPlaced" } },
  streams = "*", to = function(event) return "%s-" .. (event.data.customer or "none") end,
}]]
local BY_TYPE = [[return linker { name = "by_type", version = 1, by = "type" }]]

local function say(name, unit, value) print(("%s\t%s\t%.6g"):format(name, unit, value)) end

local function fill(path)
  local store <close> = tycho.open(path, { sync = "none" })
  local events, number = {}, 0
  for _ = 1, EVENTS // FILL do
    for index = 1, FILL do
      number = number + 1
      events[index] = { type = "OrderPlaced",
        data = { customer = tostring(number * 7919 % CUSTOMERS), note = ("x"):rep(100) } }
    end
    store:append("orders", events)
  end
  store:sync()
end

--- One of these linkers after the other, durable, with nobody else there.
local function alone(path)
  local store <close> = tycho.open(path, { mode = "existing" })
  local function measure(name, source)
    local begun = tycho.now()
    store:backfill { source = source }
    say(name, "events/s", EVENTS * 1e6 / (tycho.now() - begun))
  end
  measure("back-fill, function, 10,000 streams", VERSION:format("by_customer", 1, "customer"))
  measure("back-fill, by type, 1 stream", BY_TYPE)
  measure("back-fill, changed, same links", VERSION:format("by_customer", 2, "customer"))
  store:deploy { remove = { "linker/by_customer", "linker/by_type" } }
end

local function quantile(times, share) return times[math.max(1, math.ceil(#times * share))] end

local function times_within(samples, first, last)
  local times = {}
  for _, sample in ipairs(samples) do
    if sample.begun >= first and sample.begun < last then times[#times + 1] = sample.took end
  end
  table.sort(times)
  return times
end

local function samples_of(path, samples)
  for line in io.lines(path) do
    local begun, took = line:match("^(%d+)\t(%d+)$")
    samples[#samples + 1] = { begun = math.tointeger(begun), took = math.tointeger(took) }
  end
end

--- What publishers wait for, alone and during a back-fill that goes at its own pace.
local function under_publishers(path)
  local publishers, samples = {}, {}
  for index = 1, PUBLISHERS do
    local file = ("%s/samples.%d"):format(directory, index)
    publishers[index] = process.lua("spec/bench/rename_publisher.lua", { path, "published", file })
    assert(publishers[index]:read() == "publishing")
  end
  local store <close> = tycho.open(path, { mode = "existing" })
  local started = tycho.now()
  store:wait(math.maxinteger, ALONE)
  local begun, reached = tycho.now(), 0
  pcall(store.backfill, store, {
    source = VERSION:format("under_load", 1, "load"),
    progress = function(status)
      reached = status.position
      if tycho.now() - begun > DURING * 1e6 then error("long enough", 0) end
    end,
  })
  local ended = tycho.now()
  store:set_checkpoint("stop", 1)
  for index, publisher in ipairs(publishers) do
    assert(publisher:wait() == 0)
    samples_of(("%s/samples.%d"):format(directory, index), samples)
  end
  local before = times_within(samples, started, begun)
  local during = times_within(samples, begun, ended)
  say("publishing alone, p50", "us", quantile(before, 0.5))
  say("publishing alone, p99", "us", quantile(before, 0.99))
  say("publishing during a back-fill, p50", "us", quantile(during, 0.5))
  say("publishing during a back-fill, p99", "us", quantile(during, 0.99))
  say("publishing during a back-fill, longest", "us", during[#during])
  say("publishing alone", "events/s", #before * 1e6 / (begun - started))
  say("publishing during a back-fill", "events/s", #during * 1e6 / (ended - begun))
  say("back-fill under load", "events/s", reached * 1e6 / (ended - begun))
end

for _ = 1, rounds do
  local path = directory .. "/backfill"
  os.execute("rm -rf " .. process.quote(path))
  fill(path)
  alone(path)
  under_publishers(path)
  os.execute("rm -rf " .. process.quote(path))
end
