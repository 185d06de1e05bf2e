--- Stores that were written by the first version of the format, and by the first that compressed,
--- are read, proved and written by this version. When an example fails here, the format has
--- changed: somebody's store would be lost.

local lfs = require "lfs"

local golden = require "support.golden"
local scratch = require "support.scratch"
local tycho = require "tycho"

local path, directory
before_each(function()
  path, directory = scratch.path()
  assert(lfs.mkdir(path))
  assert(os.execute(("gzip -dc <spec/fault/format_1.mdb.gz >%s/data.mdb"):format(path)))
end)
after_each(function() scratch.remove(directory) end)

local function fresh_dump()
  local store <close> = tycho.temporary { sync = "none" }
  golden.fill(store)
  return golden.dump(store)
end

describe("A store of format 1", function()
  it("is whole, and says what it said", function()
    local store <close> = tycho.open(path, { mode = "read_only" })
    assert.same({}, store:verify().findings)
    local dump = golden.dump(store)
    assert.equal(1, dump.counts.format)
    assert.equal(171, #dump.log)
    assert.equal(14, dump.counts.sequence)
    local fresh = fresh_dump()
    dump.counts.format = fresh.counts.format
    assert.same(fresh, dump)
  end)

  it("has its events where they were, under the names that they had", function()
    local store <close> = tycho.open(path, { mode = "read_only" })
    local event = store:event("not a UUID")
    assert.equal(168, event.position)
    assert.is_nil(event.stream)
    event = store:last_event("ünicode")
    assert.equal("any bytes \0\255", event.data)
    assert.same({ "a", "b" }, event.tags)
    assert.equal(-1, event.valid_time)
    assert.equal("golden", event.metadata.by)
    assert.equal(150, store:stream_version("first"))
    assert.equal(9, store:stream_version("cut"))
    assert.same({ kept = "for ever" }, store:stream_metadata("short"))
    assert.equal(170, store:checkpoint("model"))
    assert.same({ "orders", "links" },
      store:streams_of("00000004-0000-7000-8000-000000000004"))
  end)

  it("takes new batches, and settles what was recent", function()
    do
      local store <close> = tycho.open(path, { sync = "none" })
      store:append("orders", { id = "new", type = "order.placed" })
      store:link("links", "new")
      store:unlink("links", "not a UUID")
      assert.same({}, store:verify().findings)
    end
    local store <close> = tycho.open(path, { mode = "existing", sync = "none" })
    assert.same({}, store:verify().findings)
    assert.equal(172, store:head())
    assert.equal(172, store:position("new"))
    local last = {}
    for each in store:read():stream("links"):backward():limit(3):each() do
      last[#last + 1] = each.position
    end
    assert.same({ 172, 4, 171 }, last)
  end)
end)

describe("A store of format 3", function()
  local orders = require "support.orders"

  before_each(function()
    assert(os.execute(("gzip -dc <spec/fault/format_3.mdb.gz >%s/data.mdb"):format(path)))
  end)

  it("has the events that two dictionaries compressed", function()
    local store <close> = tycho.open(path, { mode = "read_only" })
    assert.same({}, store:verify().findings)
    assert.same({ 3, 0, 270 }, { store:stats().format, store:stats().dictionary, store:head() })
    for event in store:read():each() do orders.check(event, event.position) end
  end)

  it("takes new events, and learns from old ones", function()
    local store <close> = tycho.open(path, { mode = "existing", sync = "none" })
    store:compress()
    assert.equal(3, store:stats().dictionary)
    orders.fill(store, 271, 300)
    for event in store:read():each() do orders.check(event, event.position) end
    assert.same({}, store:verify().findings)
  end)
end)
