--- Data and metadata come back as they were given.

local each_store = require "contract.each_store"
local tycho = require "tycho"

--- Equal in value and in the type of every number; an array stays one.
local function same(expected, actual, path)
  path = path or "data"
  assert.equal(type(expected), type(actual), path)
  if type(expected) ~= "table" then
    assert.equal(math.type(expected), math.type(actual), path)
    assert.is_true(expected == actual or expected ~= expected and actual ~= actual, path)
    return
  end
  assert.equal(tycho.is_array(expected), tycho.is_array(actual), path)
  for key, value in pairs(expected) do same(value, actual[key], path .. "." .. tostring(key)) end
  for key in pairs(actual) do assert.is_not_nil(expected[key], path .. "." .. tostring(key)) end
end

local VALUES = {
  integers = { 0, 1, -1, 127, 128, -128, -129, 255, 256, 65535, 65536, -32768, -32769, 1 << 31,
    1 << 32, -(1 << 31) - 1, (1 << 53) + 1, math.maxinteger, math.mininteger },
  floats = { 0.0, -0.0, 1.0, 0.1, -1.5, 2.0 ^ 53, 1e308, 5e-324 },
  booleans = { true, false },
  strings = { "", "a", "ö日本\u{1F52D}", "a\0b\n", ("x"):rep(31), ("x"):rep(32), ("x"):rep(255),
    ("x"):rep(256), ("x"):rep(65535), ("x"):rep(65536) },
  nested = { { 1, { 2, { 3, { 4 } } } }, { a = { b = { c = { d = "e" } } } } },
  maps = { a = 1, ["with space"] = 2, ["ö"] = 3, [""] = 4 },
  mixed = { id = 7, lines = { { sku = "x", count = 2 }, { sku = "y", count = 1 } }, note = "n" },
}

each_store("Data", function(fresh)
  for name, value in pairs(VALUES) do
    it("keeps " .. name, function()
      local store = fresh()
      store:append("a", { id = "e1", type = "t", data = { value = value },
        metadata = { m = value } })
      local event = store:event("e1")
      same(value, event.data.value)
      same(value, event.metadata.m)
      local again = store:read():stream("a"):first()
      same(value, again.data.value)
    end)
  end

  it("may be any value at its top", function()
    local store = fresh()
    for index, value in ipairs { 5, 2.5, "text", true, false, { 1, 2 }, { a = 1 }, {} } do
      store:append("a", { id = "e" .. index, type = "t", data = value })
      same(value, store:event("e" .. index).data)
    end
  end)

  it("tells an empty array from an empty map", function()
    local store = fresh()
    store:append("a", { id = "e1", type = "t", data = { array = tycho.array {}, map = {} } })
    local data = store:event("e1").data
    assert.is_true(tycho.is_array(data.array))
    assert.is_false(tycho.is_array(data.map))
    assert.is_nil(next(data.array))
  end)

  it("keeps null", function()
    local store = fresh()
    store:append("a", { id = "e1", type = "t",
      data = { gone = tycho.null, list = { 1, tycho.null, 3 } } })
    local data = store:event("e1").data
    assert.equal(tycho.null, data.gone)
    assert.equal(tycho.null, data.list[2])
    assert.equal(3, data.list[3])
  end)

  it("keeps arrays of many members and maps of many keys", function()
    local store, array, map = fresh(), {}, {}
    for index = 1, 70000 do array[index] = index end
    for index = 1, 3000 do map["key" .. index] = index end
    store:append("a", { id = "e1", type = "t", data = { array = array, map = map } })
    local data = store:event("e1").data
    assert.equal(70000, #data.array)
    assert.equal(70000, data.array[70000])
    assert.equal(3000, data.map.key3000)
  end)

  it("with a content type is bytes, stored as they are", function()
    local store = fresh()
    local bytes = {}
    for code = 0, 255 do bytes[#bytes + 1] = string.char(code) end
    local all = table.concat(bytes)
    for index, data in ipairs { "", all, all:rep(300), "{}" } do
      local id = "e" .. index
      store:append("a", { id = id, type = "t", data = data,
        content_type = "application/x-" .. index })
      assert.equal("application/x-" .. index, store:event(id).content_type)
      assert.is_true(data == store:event(id).data)
    end
  end)

  it("is not changed in the store by changing the table that was given", function()
    local store, data = fresh(), { list = { 1 } }
    store:append("a", { id = "e1", type = "t", data = data })
    data.list[2], data.more = 2, true
    assert.same({ list = { 1 } }, store:event("e1").data)
  end)
end)

describe("Data that a store cannot keep", function()
  local refusal = require "support.refusal"

  it("is refused with its path, and nothing is written", function()
    local store <close> = tycho.temporary { sync = "none" }
    local circle = {}
    circle.self = circle
    for _, bad in ipairs { print, coroutine.create(print), circle, { [{}] = 1 }, { [1.5] = 1 },
      math.huge, 0 / 0 } do
      local err = refusal.of(store.append, store, "a",
        { type = "t", data = { items = { 1, 2, bad } } })
      assert.equal("invalid_argument", err.code)
      assert.is_truthy(tostring(err.message):find("items", 1, true), tostring(err.message))
    end
    assert.equal(0, store:head())
  end)

  it("may be bytes that are no text, which come back as binary", function()
    local store <close> = tycho.temporary { sync = "none" }
    store:append("a", { id = "e1", type = "t",
      data = { plain = "\255\0\1", marked = tycho.binary("text") } })
    local data = store:event("e1").data
    assert.equal("\255\0\1", tostring(data.plain))
    assert.equal("\255\0\1", data.plain.bytes)
    assert.equal("text", data.marked.bytes)
  end)
end)
