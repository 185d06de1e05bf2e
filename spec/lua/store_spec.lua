--- Opening, waiting, copying: what concerns the store as a whole.

local tycho = require "tycho"

local refusal = require "support.refusal"
local scratch = require "support.scratch"

describe("tycho.open", function()
  local path, directory

  before_each(function() path, directory = scratch.path() end)
  after_each(function() scratch.remove(directory) end)

  it("creates a store, and finds it again", function()
    local first <close> = tycho.open(path)
    first:append("a", { type = "t", data = { n = 1 } })
    local second <close> = tycho.open(path, { mode = "existing", sync = "batched" })
    assert.equal(1, second:read():first().data.n)
    second:append("a", { type = "t" })
    second:sync()
    assert.equal(2, first:head())
    assert.equal(path, first:path())
    assert.equal("tycho.Store: " .. path, tostring(second))
  end)

  it("does not create what must exist", function()
    for _, mode in ipairs { "existing", "read_only" } do
      refusal.with("not_found", tycho.open, path, { mode = mode })
    end
  end)

  it("reads but does not write with read_only", function()
    tycho.open(path):close()
    local store <close> = tycho.open(path, { mode = "read_only" })
    assert.equal(0, store:head())
    refusal.with("denied", store.append, store, "a", { type = "t" })
  end)

  it("refuses bad arguments before anything is made", function()
    for _, arguments in ipairs {
      {}, { "" }, { "a\0b" }, { path, 7 }, { path, { mode = "temporary" } },
      { path, { sync = true } }, { path, { map_size = -1 } }, { path, { readers_max = 1.5 } },
      { path, { write_timeout = "1" } }, { path, { sizes = 1 } },
    } do
      refusal.with("invalid_argument", tycho.open, table.unpack(arguments))
    end
    refusal.with("invalid_argument", tycho.temporary, { mode = "create" })
    refusal.with("not_found", tycho.open, path, { mode = "existing" })
  end)

  it("makes copies that are stores", function()
    local store <close> = tycho.open(path, { sync = "none" })
    store:append("a", { { type = "t" }, { type = "t" } })
    local copy = directory .. "/copy"
    store:backup(copy)
    refusal.with("busy", store.backup, store, copy)
    local other <close> = tycho.open(copy)
    assert.equal(2, other:read():stream("a"):count())
    assert.same({}, other:verify().findings)
  end)
end)

describe("a store", function()
  local fresh = require("support.store")()

  it("waits for what is not there yet, for as long as it is told", function()
    local store = fresh()
    assert.is_nil(store:wait(0, 0))
    assert.is_nil(store:wait(0, 0.01))
    store:append("a", { { type = "t" }, { type = "t" } })
    assert.equal(2, store:wait(0))
    assert.equal(2, store:wait(1, 0))
    assert.is_nil(store:wait(2, 0))
    refusal.with("invalid_argument", store.wait, store, -1)
    refusal.with("invalid_argument", store.wait, store, 0, -1)
  end)

  it("tells how far its verification is", function()
    local store, calls, last = fresh(), 0, nil
    store:append("a", { { type = "t" }, { type = "t" } })
    local found = store:verify(function(done, total)
      calls = calls + 1
      last = { done, total }
    end)
    assert.same({ findings = {}, events = 2 }, found)
    assert.is_true(calls > 0)
    assert.equal(last[2], last[1])
  end)

  it("counts in its statistics", function()
    local store = fresh()
    store:append("a", { { type = "t" }, { type = "u", tags = { "x" } } })
    local stats = store:stats()
    assert.equal(2, stats.events)
    assert.equal(2, stats.types)
    assert.equal(1, stats.streams)
    assert.equal(1, stats.tags)
    for name, value in pairs(stats) do assert.equal("integer", math.type(value), name) end
  end)

  it("shows one instant through a snapshot", function()
    local store = fresh()
    store:append("a", { type = "t" })
    local snapshot <close> = store:snapshot()
    store:append("a", { type = "t" })
    assert.equal(1, snapshot:read():count())
    assert.equal(1, #snapshot:read():stream("a"):all())
    assert.equal(2, store:read():count())
  end)

  it("takes a batch that another handle encoded, and knows its ids", function()
    local store, other = fresh(), fresh()
    local bytes = store:batch():append("a", { { type = "t", id = "1" }, { type = "t" } }):encode()
    local receipt = other:batch():decode(bytes):append("b", { type = "t", id = "3" }):commit()
    local written = other:read():map(function(event) return event.id end)
    assert.equal("1", written[1])
    assert.equal("3", written[3])
    assert.same(written, receipt.event_ids)
    refusal.with("corrupt", function() other:batch():decode(bytes:sub(1, -2)) end)
  end)

  it("keeps the ids of a receipt apart from the batch's later events", function()
    local batch = fresh():batch():append("a", { type = "t", id = "1" })
    local receipt = batch:commit()
    assert.same({ "1" }, receipt.event_ids)
    batch:clear():append("a", { type = "t", id = "2" })
    assert.same({ "1" }, receipt.event_ids)
    assert.same({ "2" }, batch:commit().event_ids)
    batch:close()
  end)

  it("commits nothing for a batch that stays empty or is given up", function()
    local store, mistake = fresh(), {}
    assert.is_nil(store:batch(function() end))
    local _, err = pcall(store.batch, store, function(batch)
      batch:append("a", { type = "t" })
      error(mistake)
    end)
    assert.equal(mistake, err)
    assert.equal(0, store:head())
  end)
end)

describe("hash", function()
  it("gives XXH3 of 64 bits", function()
    assert.equal(0x78af5f94892f3950, tycho.hash("abc"))
    assert.equal(0x2d06800538d394c2, tycho.hash(""))
    assert.has_error(function() tycho.hash(7) end)
  end)
end)

describe("content_id", function()
  local pattern = "^%x+%-%x%x%x%x%-8%x%x%x%-[89ab]%x%x%x%-%x+$"

  it("is the same for the same arguments, and another for any other", function()
    local ids, count = {}, 0
    for seed = 0, 2 do
      for _, text in ipairs { "", "a", "b" } do
        for occurrence = 0, 2 do
          local id = tycho.content_id(seed, text, occurrence)
          assert.equal(id, tycho.content_id(seed, text, occurrence))
          assert(id:find(pattern) and #id == 36, id)
          if not ids[id] then count = count + 1 end
          ids[id] = true
        end
      end
    end
    assert.equal(27, count)
    assert.equal(tycho.content_id(1, "a"), tycho.content_id(1, "a", 0))
  end)

  it("begins with the milliseconds", function()
    assert.equal("018cc251-f400", tycho.content_id(1, "a", 0, 1704067200000999):sub(1, 13))
    assert.equal("ffffffff-ffff", tycho.content_id(1, "a", 0, -1):sub(1, 13))
    assert.equal(36, #tycho.content_id(1, "a", 0, math.mininteger))
  end)

  it("refuses what is no text or number", function()
    assert.has_error(function() tycho.content_id("x", "a") end)
    assert.has_error(function() tycho.content_id(1, 7) end)
    assert.has_error(function() tycho.content_id(1, "a", 0.5) end)
  end)
end)

describe("a batch that was committed", function()
  it("keeps the ids of its receipt when it is added to, and is empty when it is cleared", function()
    local store <close> = tycho.temporary { sync = "none" }
    local batch <close> = store:batch()
    local first = batch:append("s", { { id = "a", type = "T" }, { id = "b", type = "T" } }):commit()
    batch:append("s", { id = "c", type = "T" })
    assert.same({ "a", "b" }, first.event_ids)
    refusal.with("duplicate_event", batch.commit, batch)
    local second = batch:clear():append("s", { id = "c", type = "T" }):commit()
    assert.same({ "c" }, second.event_ids)
    assert.same({ "a", "b" }, first.event_ids)
    assert.equal(3, store:head())
  end)
end)
