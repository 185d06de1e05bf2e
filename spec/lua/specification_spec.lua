--- The read specification as a value. What reads mean is in spec/contract/.

describe("a specification", function()
  local fresh = require("support.store")()

  local function filled()
    local store = fresh()
    store:append("a", {
      { type = "t", id = "1" }, { type = "u", id = "2" }, { type = "t", id = "3" },
    })
    return store
  end

  local function ids(specification)
    return table.concat(specification:map(function(event) return event.id end), " ")
  end

  it("is never changed by a step", function()
    local read = filled():read()
    local backward = read:backward()
    local limited = backward:limit(1)
    assert.equal("1 2 3", ids(read))
    assert.equal("3 2 1", ids(backward))
    assert.equal("3", ids(limited))
    assert.equal("3 2 1", ids(backward))
    assert.equal("1", ids(limited:forward()))
  end)

  it("does not see later changes of the tables it was given", function()
    local types, wanted = { "t" }, { "1", "2" }
    local query = { types = { "u" } }
    local store = filled()
    local by_type, by_id = store:read():of_type(types), store:read():with_id(wanted)
    local matching = store:read():matching(query)
    types[1], wanted[1], query.types[1] = "u", "3", "t"
    assert.equal("1 3", ids(by_type))
    assert.equal("1 2", ids(by_id))
    assert.equal("2", ids(matching))
  end)

  it("can be read again and sees what came in between", function()
    local store = filled()
    local read = store:read():of_type("t")
    assert.equal("1 3", ids(read))
    store:append("b", { type = "t", id = "4" })
    assert.equal("1 3 4", ids(read))
  end)

  it("takes names one by one or in a list; a later step replaces an earlier one", function()
    local read = filled():read()
    assert.equal("1 2 3", ids(read:of_type("t", "u")))
    assert.equal("1 2 3", ids(read:of_type { "t", "u" }))
    assert.equal("2", ids(read:of_type("t"):of_type("u")))
    assert.equal("1 2 3", ids(read:of_type("t"):of_type()))
    assert.equal("2", ids(read:of_type("t"):matching { types = { "u" } }))
    assert.equal("1 3", ids(read:matching { types = { "u" } }:of_type("t")))
    assert.equal("1 3", ids(read:with_id("1"):with_id { "3", "1" }))
    assert.equal("", ids(read:with_id {}))
  end)

  it("finds single events in its result only", function()
    local read = filled():read():of_type("t")
    assert.equal("3", read:event("3").id)
    assert.is_nil(read:event("2"))
    assert.is_nil(read:with_id("1"):event("3"))
    assert.equal(2, #read:events { "1", "2", "3" })
    assert.equal(0, #read:with_id("9"):events { "1" })
  end)

  it("refuses a bad step at once, before anything is read", function()
    local read = filled():read()
    local bad = {
      { "stream" }, { "stream", "" }, { "limit" }, { "limit", 0 }, { "limit", 1.5 }, { "from", "" },
      { "from" }, { "to", 7 }, { "from_position", -1 }, { "to_revision", -2 }, { "of_type", 7 },
      { "of_type", { "a", false } }, { "tagged", "" }, { "matching" }, { "matching", "t" },
      { "with_id" }, { "with_id", { 1 } }, { "older_than" }, { "newer_than", "now" },
      { "newer_than", math.maxinteger }, { "between", 1 }, { "resume", "" }, { "page", 0 },
      { "each_batch", 0 }, { "event" }, { "events", "" }, { "map" }, { "reduce", 1 },
    }
    for _, call in ipairs(bad) do
      local ok, err = pcall(read[call[1]], read, table.unpack(call, 2))
      assert.is_false(ok, call[1])
      assert.equal("string", type(err), call[1])
    end
    assert.has_error(function() read:matching { { types = { "a" } }, { sorts = {} } } end)
  end)

  it("is told by its page whether more follows", function()
    local read = filled():read()
    local events, key = read:page(2)
    assert.equal(2, #events)
    local rest, no_key = read:resume(key):page(2)
    assert.equal("3", rest[1].id)
    assert.equal(1, #rest)
    assert.is_nil(no_key)
    assert.is_nil(select(2, read:page(3)))
    local empty, none = read:stream("nothing"):page(3)
    assert.same({}, empty)
    assert.is_nil(none)
  end)
end)
