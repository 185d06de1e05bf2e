--- Renaming a stream while four processes publish to it: a run of `make bench`, which gives a
--- directory and the number of rounds.
---
--- The publishers write durable events to the source's own name as fast as they can, for a while
--- alone, then during the rename of the last entries, then alone again. How long the last batch
--- holds the write path is measured twice: by the time of its commit, waiting for its turn
--- included, and by the publishers: the longest time around it in which none of them got an answer.
--- A line "name <tab> unit <tab> value" a sample.
local process = require "support.process"
local stream_switch = require "tycho.stream_switch"
local tycho = require "tycho"

local directory, rounds = arg[1], math.tointeger(tonumber(arg[2]))
if not directory or not rounds then
  io.stderr:write("usage: rename.lua DIRECTORY ROUNDS\n")
  os.exit(2)
end

local PUBLISHERS, ALONE, FILL = 4, 1.5, 10000
-- The third is how many entries are linked while the publishers are at it: enough for a p99 where
-- that is measured.
local SIZES = { { 1000, "1 k", 1000 }, { 100000, "100 k", 1000 }, { 1000000, "1 M", 20000 } }

local function say(name, unit, value) print(("%s\t%s\t%.6g"):format(name, unit, value)) end

local commits = {}

--- From now on every commit of this process is noted: when it began and how long it took.
local function watch_commits(store)
  local class = getmetatable(store:batch())
  local commit = class.commit
  function class:commit()
    local begun = tycho.now()
    local receipt = commit(self)
    commits[#commits + 1] = { begun = begun, took = tycho.now() - begun }
    return receipt
  end
end

local function fill(path, size)
  local store <close> = tycho.open(path, { sync = "none" })
  local events = {}
  for index = 1, math.min(size, FILL) do
    events[index] = { type = "OrderPlaced", data = { note = ("x"):rep(100) } }
  end
  for _ = 1, size // #events do store:append("source", events) end
  store:sync()
end

local function samples_of(path)
  local list = {}
  for line in io.lines(path) do
    local begun, took = line:match("^(%d+)\t(%d+)$")
    list[#list + 1] = { begun = math.tointeger(begun), took = math.tointeger(took) }
  end
  return list
end

--- The times of the events that were begun during the rename, and of the others, both sorted.
local function divide(samples, moments)
  local during, alone = {}, {}
  for _, sample in ipairs(samples) do
    local is_during = sample.begun >= moments.begun and sample.begun < moments.ended
    table.insert(is_during and during or alone, sample.took)
  end
  table.sort(during)
  table.sort(alone)
  return during, alone
end

--- The longest time without an answer to anybody that overlaps the one given.
local function longest_gap(samples, first, last)
  local answers, longest = {}, 0
  for index, sample in ipairs(samples) do answers[index] = sample.begun + sample.took end
  table.sort(answers)
  for index = 2, #answers do
    if answers[index] > first and answers[index - 1] < last then
      longest = math.max(longest, answers[index] - answers[index - 1])
    end
  end
  return longest
end

local function quantile(times, share) return times[math.max(1, math.ceil(#times * share))] end

--- Begins the rename, without publishers, and links all but the last entries.
local function begin(path, live)
  local store <close> = tycho.open(path, { mode = "existing" })
  local options = { source = "source", target = "target" }
  local switch = stream_switch.prepare(store, "rename", options)
  local status = switch:status()
  while status.total - status.linked > live do status = switch:step() end
  switch:close()
end

--- Publishes, renames meanwhile, and gives the samples of all publishers with the moments of it.
local function run(path, live)
  local publishers, samples = {}, {}
  begin(path, live)
  for index = 1, PUBLISHERS do
    local file = ("%s/samples.%d"):format(directory, index)
    publishers[index] = process.lua("spec/bench/rename_publisher.lua", { path, "source", file })
    assert(publishers[index]:read() == "publishing")
  end
  local store <close> = tycho.open(path, { mode = "existing" })
  local moments = {}
  store:wait(math.maxinteger, ALONE)
  moments.begun, commits = tycho.now(), {}
  store:rename { source = "source", target = "target" }
  moments.ended = tycho.now()
  local renaming = commits
  store:wait(math.maxinteger, ALONE)
  store:set_checkpoint("stop", 1)
  for index, publisher in ipairs(publishers) do
    assert(publisher:wait() == 0)
    local of = samples_of(("%s/samples.%d"):format(directory, index))
    table.move(of, 1, #of, #samples + 1, samples)
  end
  return samples, moments, renaming
end

--- Links a million entries without flushes, to see what the links alone cost, and that the last
--- ones cost what the first ones do.
local function link_ranges(path)
  local store <close> = tycho.open(path, { sync = "none" })
  local function link(first, last)
    local begun = tycho.now()
    for revision = first, last - 1, FILL do
      store:batch(function(batch)
        batch:link_range("source", revision, revision + FILL - 1, "linked", { raw = true })
      end)
    end
    return (last - first) * 1e6 / (tycho.now() - begun)
  end
  local begun = tycho.now()
  say("link_range, first half of 1 M", "links/s", link(0, 500000))
  say("link_range, second half of 1 M", "links/s", link(500000, 1000000))
  say("link_range, 10 k a batch, unsynced", "links/s", 1e12 / (tycho.now() - begun))
end

local function measure(size, title, live)
  local path = directory .. "/rename"
  os.execute("rm -rf " .. process.quote(path))
  fill(path, size)
  local samples, moments, renaming = run(path, live)
  local last = renaming[#renaming]
  say(("last batch of %s, its commit"):format(title), "ms", last.took / 1000)
  say(("last batch of %s, longest gap"):format(title), "ms",
    longest_gap(samples, last.begun, last.begun + last.took) / 1000)
  if size == SIZES[#SIZES][1] then
    local during, alone = divide(samples, moments)
    local linking = 0
    for _, each in ipairs(renaming) do linking = linking + each.took end
    say("publishing alone, p50", "us", quantile(alone, 0.5))
    say("publishing alone, p99", "us", quantile(alone, 0.99))
    say("publishing during a rename, p50", "us", quantile(during, 0.5))
    say("publishing during a rename, p99", "us", quantile(during, 0.99))
    say("publishing during a rename, longest", "us", during[#during])
    say("publishing alone", "events/s", #alone / (2 * ALONE))
    say("publishing during a rename", "events/s", #during * 1e6 / (moments.ended - moments.begun))
    say("rename under load", "links/s", live * 1e6 / (moments.ended - moments.begun))
    say("rename under load, in its commits", "links/s", live * 1e6 / linking)
  end
  if size == SIZES[#SIZES][1] then link_ranges(path) end
  os.execute("rm -rf " .. process.quote(path))
end

local store = tycho.temporary()
watch_commits(store)
store:close()
for _ = 1, rounds do
  for _, size in ipairs(SIZES) do measure(table.unpack(size)) end
end
