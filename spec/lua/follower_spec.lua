--- store:follow from Lua: options, waiting, keys, events and their lazy fields.

local process = require "support.process"
local refusal = require "support.refusal"

describe("a follower", function()
  local fresh = require("support.store")()
  after_each(process.clean)

  local function publish(store, stream, ids, type, tags)
    local events = {}
    for i, id in ipairs(ids) do events[i] = { id = id, type = type or "t", tags = tags } end
    store:append(stream, events)
  end

  --- The ids that are there now.
  local function served(follower)
    local ids = {}
    for event in follower:each(0) do ids[#ids + 1] = event.id end
    return ids
  end

  it("serves what is there and then what comes", function()
    local store = fresh()
    publish(store, "a", { "1", "2" })
    local follower <close> = store:follow()
    assert.same({ "1", "2" }, served(follower))
    publish(store, "b", { "3" })
    assert.equal("3", follower:next().id)
    assert.is_nil(follower:next(0))
    assert.is_nil(follower:next(0.01))
  end)

  it("follows streams, types and tags, and a specification", function()
    local store = fresh()
    publish(store, "a", { "1", "2" }, "x", { "red" })
    publish(store, "b", { "3" }, "y", { "red" })
    local stream, types = store:follow { stream = "b" }, store:follow { types = { "x", "z" } }
    local tags = store:follow { tags = "red", stream = "a" }
    local read = store:follow { read = store:read():stream("a"):from("1"):limit(2) }
    store:link("b", "1")
    publish(store, "a", { "4" }, "z")
    assert.same({ "3", "1" }, served(stream))
    assert.same({ "1", "2", "4" }, served(types))
    assert.same({ "1", "2" }, served(tags))
    assert.same({ "2", "4" }, served(read))
    publish(store, "a", { "5" })
    assert.is_nil(read:next()) -- the limit was served: it does not wait
  end)

  it("follows only what comes, links of old events among it", function()
    local store = fresh()
    publish(store, "a", { "1", "2" })
    store:link("b", "2")
    local log = store:follow { from_position = "end" }
    local stream = store:follow { stream = "b", from_position = "end" }
    local behind = store:follow { from_position = 1 }
    local empty = store:follow { stream = "c", from_position = "end" }
    store:link("b", "1")
    publish(store, "a", { "3" })
    assert.same({ "3" }, served(log))
    assert.same({ "1" }, served(stream))
    assert.same({ "2", "3" }, served(behind))
    store:set_route("a", "c")
    publish(store, "a", { "4", "5", "6" })
    assert.same({ "4", "5", "6" }, served(empty))
    local raw = store:follow { read = store:read():stream("a"):raw(), from_position = "end" }
    store:batch(function(batch)
      batch:append("a", { type = "t", id = "7" }, { raw = true })
      batch:append("a", { type = "t", id = "8" })
    end)
    assert.same({ "7" }, served(raw))
    assert.same({ "8" }, served(empty))
  end)

  it("goes on from a key, also behind a rename", function()
    local store = fresh()
    publish(store, "old", { "1", "2", "3" })
    local first = store:follow { stream = "old" }
    assert.equal("1", first:next().id)
    local key = first:key()
    first:close()
    store:batch(function(batch)
      batch:link("new", { "1", "2", "3" })
      batch:set_route("old", "new")
    end)
    assert.same({ "2", "3" }, served(store:follow { stream = "old", resume = key }))
    assert.equal("2", store:read():stream("old"):resume(key):first().id)
  end)

  it("tells each time when it has caught up", function()
    local store, told = fresh(), {}
    publish(store, "a", { "1", "2" })
    local last
    local follower = store:follow { caught_up = function(self)
      told[#told + 1] = { last, self:is_caught_up() }
    end }
    local function take(timeout)
      for event in follower:each(timeout) do last = event.id end
    end
    assert.is_false(follower:is_caught_up())
    take(0)
    take(0.01) -- nothing came: it is not told again
    assert.same({ { "2", true } }, told)
    publish(store, "a", { "3", "4" })
    assert.equal("3", follower:next(0).id)
    assert.is_false(follower:is_caught_up())
    take(0)
    assert.same({ { "2", true }, { "4", true } }, told)
  end)

  it("gives events whose stream and tags are looked up later", function()
    local store, kept = fresh(), {}
    publish(store, "home", { "1", "2" }, "t", { "red", "blue" })
    store:link("links", { "1", "2" })
    local follower = store:follow { stream = "links" }
    for event in follower:each(0) do
      assert.equal("home", event.stream)
      kept[#kept + 1] = event
    end
    publish(store, "other", { "3" })
    store:link("links", "3")
    kept[3] = follower:next()
    assert.is_nil(follower:next(0))
    local unread = store:follow { stream = "links" }
    local first, second = unread:next(), unread:next()
    assert.same({ "blue", "red" }, first.tags)
    unread:close()
    assert.equal("home", second.stream)
    assert.same({ "blue", "red" }, kept[2].tags)
    assert.equal("other", kept[3].stream)
    assert.is_true(kept[3].is_link)
    assert.equal(2, kept[3].revision)
  end)

  it("is woken by a writer in another process", function()
    local store = fresh()
    local follower = store:follow { stream = "a" }
    local script = os.tmpname()
    local file <close> = assert(io.open(script, "w"))
    file:write('local store <close> = require("tycho").open(arg[1], {sync = "none"})\n',
      'for i = 1, 20 do store:append("a", {type = "t", id = tostring(i)}) end\n')
    file:flush()
    local writer = process.lua(script, { store:path() })
    for i = 1, 20 do assert.equal(tostring(i), assert(follower:next(60)).id) end
    assert.equal(0, writer:wait())
    os.remove(script)
  end)

  it("has a descriptor, which is one and the same", function()
    local follower = fresh():follow()
    local descriptor = follower:descriptor()
    assert.equal("integer", math.type(descriptor))
    assert.equal(descriptor, follower:descriptor())
    assert.is_nil(follower:next(0))
  end)

  it("gives nothing any more when it was cancelled", function()
    local store = fresh()
    publish(store, "a", { "1" })
    local follower = store:follow()
    follower:cancel()
    assert.is_nil(follower:next())
    assert.same({}, served(follower))
  end)

  it("refuses what has an end or another order", function()
    local store = fresh()
    for _, read in ipairs {
      store:read():backward(), store:read():as_at(), store:read():to_position(3),
      store:read():older_than(5), store:read():with_id("1"),
    } do
      local err = refusal.with("invalid_argument", store.follow, store, { read = read })
      assert.truthy(err.message:find("does not fit", 1, true))
    end
    local snapshot <close> = store:snapshot()
    refusal.with("invalid_argument", store.follow, store, { read = snapshot:read() })
    refusal.with("corrupt", store.follow, store, { resume = "nonsense" })
  end)

  it("refuses wrong options at the caller's line", function()
    local store, other = fresh(), fresh()
    local function refused(options, words)
      local ok, message = pcall(function() store:follow(options) end)
      assert.is_false(ok)
      assert.truthy(tostring(message):find("follower_spec.lua:%d+:"))
      assert.truthy(tostring(message):find(words, 1, true))
    end
    refused({ streams = "a" }, "did you mean 'stream'?")
    refused({ read = other:read() }, "the specification is of another store")
    refused({ read = "a" }, "tycho.Specification expected")
    refused({ caught_up = 1 }, "caught_up must be a function")
    refused({ from_position = "start" }, "from_position must be an integer")
    refused({ stream = "" }, "stream must be a string")
    local follower = store:follow()
    assert.truthy(tostring(follower):find("^tycho.Follower: "))
    assert.has_error(function() follower:next(-1) end)
    assert.has_error(function() follower:each("x") end)
    follower:close()
    follower:close()
    assert.truthy(tostring(follower):find("(closed)", 1, true))
    local ok, message = pcall(follower.next, follower, 0)
    assert.is_false(ok)
    assert.truthy(tostring(message):find("follower is closed", 1, true))
  end)

  it("is closed with its store", function()
    local store = fresh()
    local follower = store:follow()
    follower:descriptor()
    store:close()
    assert.truthy(tostring(follower):find("(closed)", 1, true))
  end)
end)
