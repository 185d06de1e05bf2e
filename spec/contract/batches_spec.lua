--- Batches: all or nothing, conditions, rows, checkpoints.

local each_store = require "contract.each_store"
local events = require "support.events"
local plain = require "support.plain"
local refusal = require "support.refusal"
local unchanged = require "support.unchanged"

local TABLES = { "t", "u" }

local function ids(store, stream) return plain.each(store:read():stream(stream):all()) end

each_store("A batch", function(fresh)
  local store
  before_each(function()
    store = fresh()
    store:append("a", events.many("a", 3))
    store:append("b", events.new "b1")
    store:put_row("t", "k", 1)
    store:set_checkpoint("c", 2)
    store:set_route("r", "a")
  end)

  it("commits many operations on many things together", function()
    local receipt = store:batch(function(batch)
      batch:append("a", events.many("n", 2)):append("new", events.new "n3")
      batch:append(nil, events.new "n4"):link("b", { "n1", "a1" }):unlink("a", "a2")
      batch:put_row("t", "k", 2):put_row("t", "l", { 1 }):delete_row("t", "unknown")
      batch:set_checkpoint("c", 3):set_route("r", "b"):set_stream_metadata("a", { 1 })
    end)
    assert.equal(4, receipt.event_count)
    assert.equal(5, receipt.first_position)
    assert.equal(8, receipt.head)
    assert.same({ "n1", "n2", "n3", "n4" }, receipt.event_ids)
    assert.equal(11, #receipt.results)
    assert.equal(5, receipt.results[1].first_position)
    assert.equal(3, receipt.results[1].first_revision)
    assert.equal(7, receipt.results[2].first_position)
    assert.equal(0, receipt.results[2].first_revision)
    assert.equal(8, receipt.results[3].first_position)
    assert.equal(1, receipt.results[4].first_revision)
    assert.equal(2, receipt.results[4].count)
    assert.equal(1, receipt.results[5].count)
    assert.equal("a", receipt.results[10].previous)
    assert.same({ "a1", "a3", "n1", "n2" }, ids(store, "a"))
    assert.same({ "b1", "n1", "a1" }, ids(store, "r"))
    assert.equal(2, (store:row("t", "k")))
    assert.equal(3, store:checkpoint("c"))
  end)

  it("may write what is long, and in its place what is short", function()
    for _, size in ipairs { 20000, 5000, 100, 0 } do
      local id, short = "long" .. size, ("s"):rep(size)
      store:batch(function(batch)
        batch:append("a", { id = id, type = "x", data = ("l"):rep(50000) })
        batch:overwrite { { id = id, type = "x", data = short } }
        batch:put_row("t", id, ("l"):rep(50000)):put_row("t", id, short)
        batch:set_stream_metadata("a", ("l"):rep(50000)):set_stream_metadata("a", short)
      end)
      assert.equal(short, store:event(id).data)
      assert.equal(short, store:row("t", id))
      assert.equal(short, store:stream_metadata("a"))
      assert.same({}, store:verify().findings)
    end
  end)

  it("that is refused at its last operation changes nothing at all", function()
    local function everything(batch)
      batch:append("a", events.many("n", 2)):append("new", events.new "n3")
      batch:link("b", { "n1", "a1" }):unlink("a", "a2"):truncate("a", 1):delete_stream("b")
      batch:put_row("t", "k", 2):put_row("u", "l", 1):delete_row("t", "k"):set_checkpoint("c", 3)
      batch:set_route("r", "b"):set_stream_metadata("new", 1)
      batch:overwrite { id = "a1", type = "changed" }
      batch:link_range("a", 0, nil, "copy")
    end
    for code, last in pairs {
      event_not_found = function(batch) batch:link("x", "unknown") end,
      event_not_found_in_stream = function(batch) batch:unlink("x", "a1") end,
      event_duplicated_in_stream = function(batch) batch:link("a", "n1") end,
      duplicate_event = function(batch) batch:append("x", events.new "a3") end,
      invalid_argument = function(batch) batch:set_route("b", "r") end,
    } do
      local err = unchanged(store, code, function()
        store:batch(function(batch)
          everything(batch)
          last(batch)
        end)
      end, TABLES)
      assert.equal(15, err.operation)
    end
  end)

  it("that is refused by a condition changes nothing, and says which", function()
    local err = unchanged(store, "wrong_expected_version", function()
      store:batch(function(batch)
        batch:append("a", events.new "n1"):expect("a", 2):expect("b", 5)
      end)
    end, TABLES)
    assert.equal(2, err.condition)
    assert.equal(0, err.actual)
    assert.equal("b", err.stream)
  end)

  it("that is empty is misuse, or nothing when it was left empty while filling", function()
    unchanged(store, "invalid_argument", function() store:batch():commit() end)
    local before = plain.dump(store)
    assert.is_nil(store:batch(function() end))
    assert.same(before, plain.dump(store))
  end)

  it("is not committed when it is being filled and something raises", function()
    local before = plain.dump(store)
    assert.has_error(function()
      store:batch(function(batch)
        batch:append("a", events.new "n1")
        error("changed my mind")
      end)
    end)
    assert.same(before, plain.dump(store))
  end)

  it("stays as it is when a call is refused, and when it is cleared is empty", function()
    local batch = store:batch()
    batch:append("a", events.new "n1")
    refusal.with("invalid_argument", batch.link, batch, "", "a1")
    refusal.with("invalid_argument", batch.append, batch, "a", { events.new "n2", { id = "x" } })
    refusal.of(batch.expect, batch, "a", -7)
    assert.same({ "n1" }, batch:commit().event_ids)
    batch:clear()
    refusal.with("invalid_argument", batch.commit, batch)
    batch:append("a", events.new "n2")
    assert.same({ "n2" }, batch:commit().event_ids)
    batch:close()
    assert.same({ "a1", "a2", "a3", "n1", "n2" }, ids(store, "a"))
  end)

  it("can be committed again after a refusal", function()
    local batch = store:batch():append("a", events.new("n1"), { expected_version = 3 })
    refusal.with("wrong_expected_version", batch.commit, batch)
    store:append("a", events.new "a4")
    assert.equal(4, batch:commit().results[1].first_revision)
    batch:close()
  end)

  it("may have conditions alone", function()
    local sequence = store:batch(function(batch) batch:expect("a", "exists") end).sequence
    assert.equal("integer", math.type(sequence))
    assert.equal(4, store:head())
    unchanged(store, "wrong_expected_version", function()
      store:batch(function(batch) batch:expect("a", "none") end)
    end)
  end)

  it("observes streams that it does not write", function()
    store:batch(function(batch)
      batch:expect("a", 2):expect("r", 2):expect("unknown", "none"):expect("b", "any")
      batch:append("b", events.new "n1")
    end)
    unchanged(store, "wrong_expected_version", function()
      store:batch(function(batch) batch:expect("r", 1):append("b", events.new "n2") end)
    end)
    store:batch(function(batch)
      batch:expect("r", "none", { raw = true }):append("b", events.new "n2")
    end)
    assert.equal(6, store:head())
  end)

  it("checks its conditions before its operations, whatever their order", function()
    store:batch(function(batch)
      batch:append("new", events.new "n1"):put_row("t", "k", 9):set_checkpoint("c", 9)
      batch:set_route("r", "b"):expect("new", "none"):expect_row("t", "k", 3)
      batch:expect_checkpoint("c", 2):expect_route("r", "a")
      batch:expect_none({ types = { "happened" } }, 4)
    end)
    assert.equal(9, store:checkpoint("c"))
  end)
end)

each_store("An append condition", function(fresh)
  local store
  before_each(function()
    store = fresh()
    store:append("a", {
      { type = "opened", tags = { "course:1" } },
      { type = "joined", tags = { "course:1", "student:7" } },
      { type = "joined", tags = { "course:2", "student:7" } },
      { type = "left", tags = { "course:2", "student:7", "late" } },
    })
  end)

  local function attempt(query, after)
    return pcall(function()
      store:batch(function(batch)
        batch:expect_none(query, after):append("a", { type = "written" })
      end)
    end)
  end

  local function refused_at(position, query, after)
    local err = unchanged(store, "condition_failed", function()
      store:batch(function(batch)
        batch:expect_none(query, after):append("a", { type = "written" })
      end)
    end)
    assert.equal(1, err.condition)
    assert.is_true(err.actual >= position and err.actual <= 4)
  end

  it("refuses when an event of one of the types is there", function()
    refused_at(1, { types = { "opened" } }, 0)
    refused_at(2, { types = { "unknown", "left", "joined" } }, 0)
    assert.is_true(attempt({ types = { "unknown" } }, 0))
  end)

  it("refuses only when one event has all the tags", function()
    refused_at(2, { tags = { "course:1", "student:7" } }, 0)
    assert.is_true(attempt({ tags = { "course:1", "late" } }, 0))
    assert.is_true(attempt({ tags = { "course:3" } }, 0))
    refused_at(4, { tags = { "student:7", "late", "course:2" } }, 0)
  end)

  it("asks for a type and the tags on the same event", function()
    refused_at(2, { types = { "joined" }, tags = { "course:1" } }, 0)
    assert.is_true(attempt({ types = { "left" }, tags = { "course:1" } }, 0))
    assert.is_true(attempt({ types = { "opened" }, tags = { "student:7" } }, 0))
  end)

  it("looks only behind its position", function()
    refused_at(3, { types = { "joined" } }, 2)
    assert.is_true(attempt({ types = { "joined" } }, 3))
    refused_at(4, { tags = { "student:7" } }, 3)
    assert.is_true(attempt({ tags = { "student:7" } }, 4))
    assert.is_true(attempt({ tags = { "student:7" } }, 1000000))
  end)

  it("is refused when any of its alternatives matches", function()
    refused_at(1, { { types = { "unknown" } }, { tags = { "course:3" } },
      { types = { "opened" }, tags = { "course:1" } } }, 0)
    assert.is_true(attempt({ { types = { "unknown" } }, { tags = { "course:3" } } }, 0))
  end)

  it("without types and tags means any event at all", function()
    refused_at(4, {}, 3)
    assert.is_true(attempt({}, 4))
  end)

  it("does not see the events of its own batch", function()
    store:batch(function(batch)
      batch:append("a", { type = "special" }):expect_none({ types = { "special" } }, 0)
    end)
    refused_at(1, { types = { "opened" } }, 0)
  end)

  it("sees events in no stream, and events that were taken out of all streams", function()
    store:append(nil, { type = "alone", tags = { "x" } })
    assert.is_false(attempt({ tags = { "x" } }, 0))
    store:delete_stream("a")
    assert.is_false(attempt({ types = { "left" } }, 0))
  end)
end)

each_store("A row", function(fresh)
  local store
  before_each(function() store = fresh() end)

  it("is put, replaced and deleted", function()
    assert.is_nil(store:row("t", "k"))
    assert.equal(1, store:put_row("t", "k", { n = 1 }).results[1].count)
    assert.same({ n = 1 }, (store:row("t", "k")))
    store:put_row("t", "k", "text")
    assert.equal("text", (store:row("t", "k")))
    assert.is_nil(store:row("u", "k"))
    store:put_row("t", "k", nil)
    assert.is_nil(store:row("t", "k"))
    store:put_row("t", "k", nil)
    assert.same({}, plain.lines(store:rows("t")))
  end)

  it("has the number of the batch that last put it as its version", function()
    local receipt = store:put_row("t", "k", 1)
    assert.equal(receipt.sequence, select(2, store:row("t", "k")))
    store:put_row("t", "other", 1)
    assert.equal(receipt.sequence, select(2, store:row("t", "k")))
    local again = store:put_row("t", "k", 1)
    assert.equal(again.sequence, select(2, store:row("t", "k")))
    assert.is_true(again.sequence > receipt.sequence)
  end)

  it("is written only at the version that was expected", function()
    store:put_row("t", "k", 1, { version = 0 })
    local err = unchanged(store, "condition_failed", function()
      store:put_row("t", "k", 2, { version = 0 })
    end, TABLES)
    local _, version = store:row("t", "k")
    assert.equal(version, err.actual)
    assert.equal(1, err.condition)
    unchanged(store, "condition_failed", function()
      store:put_row("t", "k", 2, { version = version + 1 })
    end, TABLES)
    store:put_row("t", "k", 2, { version = version })
    assert.equal(2, (store:row("t", "k")))
    unchanged(store, "condition_failed", function()
      store:put_row("t", "k", nil, { version = version })
    end, TABLES)
  end)

  it("never gets a version again that it had, not even after it was deleted", function()
    local seen = {}
    for round = 1, 5 do
      store:put_row("t", "k", "same")
      local _, version = store:row("t", "k")
      assert.is_nil(seen[version])
      seen[version] = round
      store:put_row("t", "k", nil)
    end
    for version in pairs(seen) do
      unchanged(store, "condition_failed", function()
        store:put_row("t", "k", 1, { version = version })
      end, TABLES)
    end
  end)

  it("can have an empty key, any bytes as key, and keys that begin alike", function()
    for _, key in ipairs { "", "\0", "\0\0", "\255", "\255\255", "a", "a\0", "ab" } do
      store:put_row("t", key, key)
    end
    assert.same({ "", "\0", "\0\0", "a", "a\0", "ab", "\255", "\255\255" },
      plain.each(plain.lines(store:rows("t")), 1))
    assert.equal("a\0", (store:row("t", "a\0")))
  end)

  it("is its table's own, though names of tables and keys run together", function()
    store:put_row("t", "uk", 1)
    store:put_row("tu", "k", 2)
    assert.equal(1, (store:row("t", "uk")))
    assert.equal(2, (store:row("tu", "k")))
    assert.is_nil(store:row("tuk", ""))
    assert.same({ "uk" }, plain.each(plain.lines(store:rows("t")), 1))
  end)

  it("is found by prefix, behind a key, up to a limit", function()
    for _, key in ipairs { "b1", "a1", "b3", "b2", "c" } do store:put_row("t", key, key .. "!") end
    local function keys(options) return plain.each(plain.lines(store:rows("t", options)), 1) end
    assert.same({ "a1", "b1", "b2", "b3", "c" }, keys())
    assert.same({ "b1", "b2", "b3" }, keys { prefix = "b" })
    assert.same({ "b2", "b3" }, keys { prefix = "b", after = "b1" })
    assert.same({ "b2" }, keys { prefix = "b", after = "b1", limit = 1 })
    assert.same({ "b1", "b2", "b3", "c" }, keys { after = "a9" })
    assert.same({}, keys { after = "c" })
    assert.same({}, keys { prefix = "d" })
    assert.equal("b1!", plain.lines(store:rows("t"))[2][2])
  end)

  it("holds values of every kind", function()
    for index, value in ipairs { 0, -1, 1.5, math.maxinteger, math.mininteger, true, false, "",
      "\255\0", { 1, 2, { 3 } }, { a = { b = "c" } } } do
      store:put_row("t", "k" .. index, value)
      local found = store:row("t", "k" .. index)
      if type(found) == "userdata" then found = found.bytes end
      if type(found) == "table" and found.bytes then found = found.bytes end
      assert.same(value, found)
      assert.equal(math.type(value), math.type(found))
    end
  end)
end)

each_store("A checkpoint", function(fresh)
  it("is 0 until it is set, and 0 removes it", function()
    local store = fresh()
    assert.equal(0, store:checkpoint("c"))
    store:set_checkpoint("c", 7)
    assert.equal(7, store:checkpoint("c"))
    store:set_checkpoint("d", 1)
    assert.same({ { "c", 7 }, { "d", 1 } }, plain.lines(store:checkpoints()))
    store:set_checkpoint("c", 0)
    assert.equal(0, store:checkpoint("c"))
    assert.same({ { "d", 1 } }, plain.lines(store:checkpoints()))
  end)

  it("moves only from where it was expected", function()
    local store = fresh()
    store:set_checkpoint("c", 5, { expected = 0 })
    local err = unchanged(store, "condition_failed", function()
      store:set_checkpoint("c", 6, { expected = 0 })
    end)
    assert.equal(5, err.actual)
    store:set_checkpoint("c", 9, { expected = 5 })
    unchanged(store, "condition_failed", function()
      store:set_checkpoint("c", 6, { expected = 5 })
    end)
    assert.equal(9, store:checkpoint("c"))
  end)

  it("and the rows folded up to it are one batch", function()
    local store = fresh()
    store:append("a", events.many("e", 3))
    local function fold(from, to)
      return pcall(function()
        store:batch(function(batch)
          batch:expect_checkpoint("sum", from):set_checkpoint("sum", to):put_row("t", "sum", to)
        end)
      end)
    end
    assert.is_true(fold(0, 2))
    assert.is_false(fold(0, 2))
    assert.is_true(fold(2, 3))
    assert.is_false(fold(2, 3))
    assert.equal(3, (store:row("t", "sum")))
  end)
end)
