--- What the binding raises: misuse at the caller's line, refusals as objects.

local tycho = require "tycho"

local function here(level)
  return debug.getinfo((level or 1) + 1, "l").currentline
end

local function raised(fn)
  local ok, err = pcall(fn)
  assert.is_false(ok)
  return err
end

describe("misuse", function()
  local fresh = require("support.store")()

  local function misuse(pattern, line, fn)
    local err = raised(fn)
    assert.equal("string", type(err))
    assert.matches("errors_spec%.lua:" .. line .. ": ", err)
    assert.matches(pattern, err)
  end

  it("is raised at the line of the caller, whichever layer finds it", function()
    local store = fresh()
    store:append("a", { type = "t" })
    local event = store:read():first()
    local function refused(pattern, fn)
      misuse(pattern, debug.getinfo(fn, "S").linedefined, fn)
    end
    refused("limit must be an integer of at least 1, got 0", function() store:read():limit(0) end)
    refused("stream must be a string", function() store:append({}, { type = "t" }) end)
    refused("an event is immutable: cannot set 'type'", function() event.type = "x" end)
    refused("call methods with ':'", function() local _ = store.head() end)
    refused("call methods with ':'", function() local _ = event.field("x") end)
    refused("text must be a string, got nil", function() local _ = tycho.parse_time() end)
    refused("path must be a string", function() local _ = tycho.open(12) end)
    refused("handler must be a function, got nil", function() store:subscribe(nil, "t") end)
  end)

  it("names the place in the events that were given", function()
    local store = fresh()
    local line = here() + 3
    local function refused(pattern, events)
      misuse(pattern, line, function()
        store:append("a", events)
      end)
    end
    refused("type is missing", {{}})
    refused("tpye is no field of an event %(did you mean 'type'%?%)", { tpye = "x" })
    refused("events%[2%]%.data%.items%[3%] is a function",
      { { type = "t" }, { type = "t", data = { items = { 1, 2, print } } } })
    refused("events%[1%]%.tags%[2%] must be a string, got 7", { { type = "t", tags = { "a", 7 } } })
    refused("^[^ ]+ time must be an integer, got 1.5", { type = "t", time = 1.5 })
    refused("position cannot be given", { type = "t", position = 4 })
    refused("metadata must be a map", { type = "t", metadata = { "a", "b" } })
    refused("metadata must be a table, got string", { type = "t", metadata = "a" })
    refused("tags must be a list of strings, got string", { type = "t", tags = "a" })
    refused("events%[2%] must be a table, got string", { { type = "t" }, "t" })
    refused("must be a table, got string", "t")
    assert.equal(0, store:head())
  end)

  it("suggests the option that was meant", function()
    local store = fresh()
    misuse("no option \"expected\" %(did you mean 'expected_version'%?%)", here() + 1, function()
      store:append("a", { type = "t" }, { expected = 1 }) end)
    misuse("no option \"snyc\" %(did you mean 'sync'%?%)", here() + 1, function()
      tycho.temporary { snyc = "none" } end)
    misuse("no option \"x+%.%.%.\" %(known: ", here() + 1, function()
      tycho.temporary { [("x"):rep(200)] = "none" } end)
    misuse('sync must be one of "full", "batched", "none", got "fast"', here() + 1, function()
      tycho.temporary { sync = "fast" } end)
    misuse("expected_version must be", here() + 1, function()
      store:append("a", { type = "t" }, { expected_version = "nobody" }) end)
  end)

  it("skips no frame of a caller who is deep in other functions", function()
    local store = fresh()
    local function inner() store:read():limit(-1) end
    local line = debug.getinfo(inner, "S").linedefined
    misuse("limit", line, function() inner() end)
  end)
end)

describe("a refusal", function()
  local fresh = require("support.store")()

  it("is an object with a code, a sentence and facts", function()
    local store = fresh()
    store:append("a", { { type = "t" }, { type = "t" } })
    local err = raised(function()
      store:batch(function(batch)
        batch:append("b", { type = "t" })
        batch:append("a", { type = "t" }, { expected_version = "none" })
      end)
    end)
    assert.equal("wrong_expected_version", err.code)
    assert.equal(1, err.actual)
    assert.equal("a", err.stream)
    assert.equal(2, err.operation)
    assert.equal(err.message, tostring(err))
    assert.is_nil(err.message:find("\n"))
    assert.equal("tycho.Error", getmetatable(err).__name)
  end)

  it("leaves the store as it was", function()
    local store = fresh()
    pcall(store.append, store, "a", { type = "t" }, { expected_version = 3 })
    assert.equal(0, store:head())
    assert.equal(-1, store:stream_version("a"))
  end)

  it("does not spoil the write that follows", function()
    local store = fresh()
    pcall(store.append, store, "a", { { type = "t" }, { type = "t", data = print } })
    local receipt = store:append("a", { type = "t" })
    assert.equal(1, receipt.event_count)
    assert.equal(1, #receipt.event_ids)
  end)

  it("tells who loads it into another Lua which one it needs", function()
    local path = assert(package.searchpath("tycho", package.path))
    local env = setmetatable({ _VERSION = "Lua 5.1" }, { __index = _G })
    local ok, message = pcall(assert(loadfile(path, "t", env)))
    assert.is_false(ok)
    assert.equal("tycho needs Lua 5.4, and this is Lua 5.1: run it with lua5.4", message)
  end)
end)
