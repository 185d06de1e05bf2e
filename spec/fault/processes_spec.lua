--- Several processes on one store.

local checker = require "fault.checker"
local process = require "support.process"
local refusal = require "support.refusal"
local scratch = require "support.scratch"
local tycho = require "tycho"

local path, directory

scratch.each(function(...) path, directory = ... end)

local function start_writer(name, rounds, sync)
  return process.lua("spec/fault/writer.lua", { path, directory, name, rounds, sync or "none" })
end

describe("Four processes that write to shared streams", function()
  local NAMES = { "w1", "w2", "w3", "w4" }

  for _, sync in ipairs { "none", "batched", "full" } do
    it("all get in what was acknowledged, exactly once, with sync " .. sync, function()
      local rounds = sync == "none" and 60 or 15
      local writers = {}
      for index, name in ipairs(NAMES) do writers[index] = start_writer(name, rounds, sync) end
      for index, writer in ipairs(writers) do
        local status, lines = writer:wait()
        assert.equal(0, status, NAMES[index] .. ": " .. table.concat(lines, "\n"))
      end
      local store <close> = tycho.open(path, { mode = "existing" })
      assert.equal(4 * rounds, checker.check(store, directory, NAMES))
      assert.equal(4 * rounds - 1, store:stream_version("shared"))
    end)
  end

  it("are read from meanwhile, and every reader sees whole batches", function()
    tycho.open(path):close()
    local writer, other = start_writer("w1", 150), start_writer("w2", 150)
    local store <close> = tycho.open(path, { mode = "read_only" })
    local head = 0
    for _ = 1, 100 do
      local snapshot <close> = store:snapshot()
      local shared = snapshot:read():stream("shared"):count()
      local first = snapshot:read():stream("links"):count()
      assert.equal(shared, first)
      local all = snapshot:read():count()
      assert.is_true(all >= head)
      head = all
    end
    assert.equal(0, (writer:wait()))
    assert.equal(0, (other:wait()))
    assert.equal(300, store:read():stream("shared"):count())
  end)

  it("wake a reader that waits in another process", function()
    tycho.open(path):close()
    local store <close> = tycho.open(path, { mode = "existing" })
    local writer = start_writer("w1", 5)
    local head = store:wait(0, 60)
    assert.is_true(head ~= nil and head >= 1)
    assert.equal(0, (writer:wait()))
    assert.is_nil(store:wait(store:head(), 0.01))
  end)
end)

describe("A store that is opened only to read", function()
  it("must exist", function()
    refusal.with("not_found", tycho.open, path, { mode = "read_only" })
    refusal.with("not_found", tycho.open, path, { mode = "existing" })
    assert.is_nil(io.open(path))
  end)

  it("refuses to write, and sees what others write", function()
    local writer <close> = tycho.open(path, { sync = "none" })
    writer:append("a", { id = "e1", type = "t" })
    local worker = start_writer("w1", 3)
    assert.equal(0, (worker:wait()))
    local reader <close> = tycho.open(path, { mode = "read_only" })
    refusal.with("denied", reader.append, reader, "a", { type = "t" })
    refusal.with("denied", reader.set_checkpoint, reader, "c", 1)
    assert.equal("e1", reader:last_event("a").id)
    writer:append("a", { id = "e2", type = "t" })
    assert.equal("e2", reader:last_event("a").id)
    assert.same({}, reader:verify().findings)
  end)
end)

describe("A second open in one process", function()
  it("shares the store, whatever name it is opened by", function()
    local first = tycho.open(path, { sync = "none" })
    local second = tycho.open(directory .. "/./store", { sync = "full" })
    first:append("a", { id = "e1", type = "t" })
    assert.equal("e1", second:last_event("a").id)
    second:append("a", { id = "e2", type = "t" }, { expected_version = 0 })
    first:close()
    local third = tycho.open(path, { mode = "read_only" })
    second:append("a", { id = "e3", type = "t" }, { expected_version = 1 })
    assert.equal(3, third:read():stream("a"):count())
    second:close()
    assert.equal("e3", third:last_event("a").id)
    assert.same({}, third:verify().findings)
    third:close()
    local again <close> = tycho.open(path)
    assert.equal(3, again:head())
  end)

  it("keeps a snapshot of one handle while another writes and closes", function()
    local first = tycho.open(path, { sync = "none" })
    first:append("a", { id = "e1", type = "t" })
    local second = tycho.open(path, { sync = "none" })
    local snapshot = first:snapshot()
    second:append("a", { id = "e2", type = "t" })
    second:close()
    assert.equal(1, snapshot:read():count())
    snapshot:close()
    assert.equal(2, first:read():count())
    first:close()
  end)

  it("may be repeated often", function()
    for index = 1, 30 do
      local one, two = tycho.open(path, { sync = "none" }), tycho.open(path, { sync = "none" })
      one:append("a", { type = "t" })
      assert.equal(index, two:head())
      if index % 2 == 0 then
        one:close()
        two:close()
      else
        two:close()
        one:close()
      end
    end
    collectgarbage()
  end)
end)

describe("A path that cannot be a store", function()
  it("is refused, and nothing is made", function()
    local file <close> = assert(io.open(directory .. "/file", "w"))
    file:write("text")
    refusal.of(tycho.open, directory .. "/file")
    refusal.of(tycho.open, directory .. "/missing/deeper/store", { mode = "existing" })
    refusal.of(tycho.open, "")
    refusal.of(tycho.open, nil)
    assert.is_nil(io.open(directory .. "/missing"))
  end)

  it("that holds something else is left alone", function()
    local notes = assert(io.open(directory .. "/notes", "w"))
    notes:write("mine")
    notes:close()
    refusal.of(tycho.open, directory, { mode = "existing" })
    local still <close> = assert(io.open(directory .. "/notes"))
    assert.equal("mine", still:read("a"))
  end)
end)

describe("Readers that were killed", function()
  it("do not hold their slots, nor the pages of what they read", function()
    local store <close> = tycho.open(path, { sync = "none" })
    store:append("a", { type = "t" })
    local before = store:stats().readers
    local reader = process.lua("spec/fault/reader.lua", { path, 5 })
    assert.equal("reading", reader:read())
    for _ = 1, 5 do store:append("a", { type = "t" }) end
    assert.is_true(store:stats().readers >= before + 5)
    assert.is_true(store:stats().reader_lag >= 5)
    reader:kill()
    assert.equal(137, (reader:wait()))
    local other <close> = tycho.open(path, { sync = "none" })
    other:append("a", { type = "t" })
    store:close()
    other:close()
    local again <close> = tycho.open(path, { sync = "none" })
    assert.is_true(again:stats().readers <= before)
    assert.equal(0, again:stats().reader_lag)
    assert.same({}, again:verify().findings)
  end)

  it("never use up the slots of a process that stays open", function()
    local store <close> = tycho.open(path, { sync = "none", readers_max = 16 })
    store:append("a", { type = "t" })
    for _ = 1, 4 do
      local reader = process.lua("spec/fault/reader.lua", { path, 6 })
      assert.equal("reading", reader:read())
      reader:kill()
      reader:wait()
      assert.equal(1, store:read():count())
    end
    assert.same({}, store:verify().findings)
  end)
end)
