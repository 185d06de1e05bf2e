--- A writer that is suspended in the middle of a commit: others are refused in time, read
--- meanwhile, and write again when it is resumed or killed; what it was writing is there whole or
--- not at all.

local checker = require "fault.checker"
local process = require "support.process"
local refusal = require "support.refusal"
local scratch = require "support.scratch"
local tycho = require "tycho"

local TRIES = 1000

describe("A writer that is suspended in the middle of a commit", function()
  local path, directory, store
  scratch.each(function(...)
    path, directory = ...
    store = tycho.open(path, { sync = "none", write_timeout = 0.05 })
  end)
  after_each(function() store:close() end)

  local function append() store:append("mine", { type = "mine" }) end

  --- A writer that has been told of one of its events at least.
  local function start()
    local head = store:head()
    local writer = process.lua("spec/fault/writer.lua", { path, directory, "w1", 1000000, "full" })
    assert.equal("writing", writer:read())
    assert.is_truthy(store:wait(head + 1, 60))
    return writer
  end

  --- Suspends it until it is where it keeps others from writing.
  local function suspend(writer)
    for _ = 1, TRIES do
      writer:signal("STOP")
      local ok, err = pcall(append)
      if not ok then return err end
      writer:signal("CONT")
    end
    error("it was never in the middle of a commit")
  end

  local function check()
    assert.is_true(checker.check(store, directory, { "w1" }) > 0)
  end

  it("keeps others from writing until it is resumed, but not from reading", function()
    local writer = start()
    for _ = 1, 3 do
      local err = suspend(writer)
      assert.equal("timeout", err.code)
      assert.matches("another process has been writing for 50 ms", err.message)
      local mine = store:read():stream("mine"):count()
      refusal.with("timeout", append)
      assert.equal(mine, store:read():stream("mine"):count())
      assert.equal(store:head(), store:read():count())
      local head = store:head()
      writer:signal("CONT")
      assert.is_truthy(store:wait(head, 60))
      while not pcall(append) do store:wait(math.maxinteger, 0.01) end
    end
    writer:kill()
    writer:wait()
    check()
  end)

  it("is no hindrance once it is killed", function()
    for _ = 1, 3 do
      local writer = start()
      suspend(writer)
      writer:kill()
      assert.equal(137, (writer:wait()))
      append()
    end
    check()
  end)
end)
