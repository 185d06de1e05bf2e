--- The harness of `make bench` itself, on stores that are as small as can be: its results can be
--- read, compared with older ones, and say what was not measured and why.
local dkjson = require "dkjson"
local lfs = require "lfs"
local process = require "support.process"
local scratch = require "support.scratch"

local BENCH = "build/tycho-bench"

describe("the bench", function()
  local directory

  before_each(function() directory = select(2, scratch.path()) end)
  after_each(function() scratch.remove(directory) end)

  --- Runs it on the disk of the build directory, without waiting for the disk: status and lines.
  local function bench(words, environment)
    local command = ("%s %s --settle 0 --rounds 2 --small 20000 --json %s/out.json %s 2>&1")
      :format(environment or "", BENCH, directory, words)
    local status, lines = process.start("sh -c " .. process.quote(command)):wait()
    return status, table.concat(lines, "\n")
  end

  local function results(name)
    local file <close> = assert(io.open(directory .. "/" .. (name or "out.json")))
    return assert(dkjson.decode(file:read("a")))
  end

  local function figure(list, name)
    for _, each in ipairs(list) do
      if each.name == name then return each end
    end
  end

  local function write(text)
    local path = directory .. "/base.json"
    local file <close> = assert(io.open(path, "w"))
    file:write(text)
    return path
  end

  it("writes each figure with its samples, their order and the settings", function()
    local status, text = bench("--only limits")
    assert(status == 0, text)
    local all = results()
    assert.is_truthy(all.run.machine)
    assert.equal("2, compared figures in turns", all.run.rounds)
    local flush = figure(all.figures, "append 4 KiB and fdatasync")
    assert.equal(2, #flush.samples)
    assert.is_true(flush.min > 0 and flush.min <= flush.median and flush.median <= flush.max)
    assert.equal("us", flush.unit)
    assert.matches("append 4 KiB and fdatasync .+ us", text)
  end)

  it("says of each target whether it is met", function()
    local status, text = bench("--only threads --rounds 1")
    assert(status == 0, text)
    local ratio = figure(results().figures, "16 threads / log only, LMDB alone")
    assert.equal(0.8, ratio.at_least)
    assert.equal(ratio.median >= 0.8, ratio.met)
    assert.matches("16 threads / log only, LMDB alone .+ >= 0.800 " ..
      (ratio.met and "met" or "MISSED"), text)
    assert.matches("%d of 5 targets met", text)
  end)

  it("tells what compression saves and costs", function()
    local status, text = bench("--only compress --rounds 1 --loans /nowhere")
    assert(status == 0, text)
    local left = figure(results().figures, "JSON: bytes left of payloads")
    assert.is_true(left.median > 0.05 and left.median < 0.5)
    assert.is_true(left.met)
    assert.matches("loans: bytes left of payloads%s+skipped: no file of events", text)
  end)

  it("prints the change against an older run", function()
    local base = write [[{"run": {}, "figures": [
      {"name": "append 4 KiB and fdatasync", "median": 1e12},
      {"name": "memcpy of 64 MiB", "median": 0.001}]}]]
    local status, text = bench("--only limits --base " .. base)
    assert(status == 0, text)
    assert.matches("append 4 KiB and fdatasync[^\n]+ us[^\n]+%(%-100 %%%)", text)
    assert.matches("memcpy of 64 MiB[^\n]+%(%+%d+ %%%)", text)
    assert.matches("change of the median against the base", text, 1, true)
    assert.is_nil(text:match("overwrite 4 KiB and fdatasync[^\n]+%%"))
  end)

  it("refuses a base that it cannot read, before it measures anything", function()
    local status, text = bench("--only limits --base " .. directory .. "/absent.json")
    assert.equal(1, status)
    assert.matches("base .+absent.json: unable to open", text)
    status, text = bench("--only limits --base " .. write "{}")
    assert.equal(1, status)
    assert.matches("base.json: no figures in it", text, 1, true)
    assert.is_nil(io.open(directory .. "/out.json"))
  end)

  it("refuses a family that it does not know", function()
    local status, text = bench("--only limits,nonsense")
    assert.equal(1, status)
    assert.matches("no such family among these: limits,nonsense", text, 1, true)
  end)

  it("says why a figure was not measured", function()
    local status, text = bench("--only program --big 20000 --rounds 1 --loans /nowhere")
    assert(status == 0, text)
    local skipped = figure(results().figures, "tycho import of real events")
    assert.equal("no file of events (--loans)", skipped.skipped)
    assert.equal(100000, skipped.at_least)
    assert.is_nil(skipped.met)
    assert.matches("tycho import of real events +skipped: no file of events %(%-%-loans%) "
      .. "%(>= 100.0 k, not known%)", text)
    assert.matches("targets met, [1-9]%d* not measured", text)
  end)

  it("skips peers that are not there, with the reason, and measures the others", function()
    os.execute(("ln -s $(command -v setpriv) $(command -v lua5.4) %s/"):format(directory))
    local status, text = bench("--only peers --rounds 1 --peers /nowhere "
      .. "--without PostgreSQL,'NATS JetStream'", "PATH=" .. directory)
    assert(status == 0, text)
    local list = results().figures
    local function skipped(name)
      local reason = figure(list, name).skipped
      return (reason:gsub("^lib%w+%-dev was not there at build time$", "there is no client"))
    end
    assert.equal("left out (--without)", skipped "batches of 1,000: PostgreSQL")
    assert.matches("there is no [rc]", skipped "16 clients: Redis streams")
    assert.matches("there is no node: apt%-get", skipped "replay: Emmett on SQLite")
    assert.matches("Emmett on SQLite +skipped: there is no node", text)
    assert.equal("no such peer is there", skipped "replay: Tycho / best event store")
    assert.is_true(figure(list, "replay: Tycho").median > 0)
    assert.is_true(figure(list, "10,000-event stream: Tycho").median > 0)
    assert.is_nil(figure(list, "10,000 links: Redis streams"))
  end)

  it("skips a peer that does not start, with what it said", function()
    local path = directory .. "/redis-server"
    local file <close> = assert(io.open(path, "w"))
    file:write("#!/bin/sh\necho first\necho 'cannot do that: no luck'\nexit 1\n")
    file:close()
    os.execute(("chmod +x %s; ln -s $(command -v setpriv) $(command -v lua5.4) %s/")
      :format(path, directory))
    local status, text = bench("--only peers --rounds 1 --peers /nowhere "
      .. "--without PostgreSQL,'NATS JetStream'", "PATH=" .. directory)
    assert(status == 0, text)
    local reason = figure(results().figures, "1 client: Redis streams").skipped
    if reason ~= "libhiredis-dev was not there at build time" then
      assert.equal("redis did not start: cannot do that: no luck", reason)
    end
  end)

  describe("on a disk of its own", function()
    local root = "build/bench-spec"

    before_each(function() lfs.mkdir(root) end)
    after_each(function() scratch.remove(root) end)

    local function left()
      local names = {}
      for name in lfs.dir(root) do
        if name:sub(1, 1) ~= "." then names[#names + 1] = name end
      end
      return names
    end

    it("leaves no store behind", function()
      local status, text = bench("--only decision --sizes 20000,40000 --root " .. root)
      assert(status == 0, text)
      assert.matches("A CONDITION ON A TAG OF 0.04 M EVENTS", text, 1, true)
      assert.same({}, left())
    end)

    it("leaves no store behind when it is ended, and prints what it has", function()
      local running = process.start(BENCH .. " --only threads --settle 0 --rounds 90"
        .. " --small 20000 --json /dev/null --root " .. root .. " 2>&1")
      repeat local line = running:read() until line:find("filling a store", 1, true)
      assert.equal(1, #left())
      os.execute("kill -TERM " .. running.pid)
      local status, lines = running:wait()
      assert.equal(1, status)
      assert.matches("interrupted", table.concat(lines, "\n"), 1, true)
      assert.same({}, left())
    end)
  end)
end)
