--- A reader that holds a snapshot and is stuck: it is reported, it holds nobody up, the room that
--- it costs is bounded by the map, and comes back when it ends, in processes that stay open too.

local process = require "support.process"
local refusal = require "support.refusal"
local scratch = require "support.scratch"
local tycho = require "tycho"

local MIB = 1 << 20
local COMMITS_MAX = 2000 -- until the readers that died are looked for

describe("A reader that is stuck", function()
  local path, store
  scratch.each(function(...) path = ... end)
  after_each(function()
    store:close()
  end)

  local function start_stuck()
    local reader = process.lua("spec/fault/reader.lua", { path, 1 })
    assert.equal("reading", reader:read())
    reader:signal("STOP")
    return reader
  end

  --- Writes over one row, which needs new pages each time while somebody reads the old ones.
  local function write(count, text)
    for number = 1, count do store:put_row("rows", "row", { number, text }) end
  end

  local function open(options)
    options.sync = "none"
    store = tycho.open(path, options)
    store:append("a", { type = "t" })
  end

  it("is reported, while others write and read", function()
    open {}
    local reader = start_stuck()
    write(500, "text")
    assert.is_true(store:stats().reader_lag >= 500)
    assert.equal(1, store:read():count())
    assert.equal(500, store:row("rows", "row")[1])
    reader:signal("CONT")
    process.sleep(0.05)
    assert.is_true(store:stats().reader_lag >= 500)
  end)

  it("costs room, which comes back when it is killed", function()
    open {}
    local reader = start_stuck()
    local before = store:stats().file_size
    write(500, ("x"):rep(4000))
    local grown = store:stats().file_size
    assert.is_true(grown > before + 500 * 4096)
    reader:kill()
    reader:wait()
    for _ = 1, COMMITS_MAX do
      if store:stats().reader_lag < 5 then break end
      write(1, "text")
    end
    assert.is_true(store:stats().reader_lag < 5)
    grown = store:stats().file_size
    write(2000, ("x"):rep(4000))
    assert.is_true(store:stats().file_size < grown + 200 * 4096)
  end)

  it("can fill the map, and no more: writes are refused, and good again when it is gone", function()
    open { map_size = 64 * MIB }
    local reader = start_stuck()
    local text = ("x"):rep(MIB)
    local err
    for _ = 1, 200 do
      local ok
      ok, err = pcall(write, 1, text)
      if not ok then break end
    end
    assert.equal("full", err.code)
    refusal.with("full", write, 1, text)
    assert.equal(1, store:read():count())
    assert.is_true(store:stats().reader_lag > 20)
    reader:kill()
    reader:wait()
    write(200, text)
    assert.same({}, store:verify().findings)
  end)
end)
