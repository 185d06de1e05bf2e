--- tycho.msgpack and tycho.json: what goes in comes out, the same value is always the same bytes,
--- and what cannot be kept is refused with its place. SEED=n repeats a run.

local random = require "support.random"
local refusal = require "support.refusal"
local tycho = require "tycho"

local SEED = math.tointeger(tonumber(os.getenv("SEED") or os.time()))
local VALUES = 1500

local codecs = { msgpack = tycho.msgpack, json = tycho.json }

local function is_binary(value) return type(value) == "userdata" and value ~= tycho.null end

--- Whether `actual` is what `expected` becomes on its way: strings that are no text and binaries
--- become binaries of the same bytes, everything else stays what it is, to the type of a number.
local function same(expected, actual)
  local is_bytes = type(expected) == "string" and not utf8.len(expected)
  if is_bytes or is_binary(expected) then
    return is_binary(actual) and tostring(expected) == tostring(actual)
  end
  if type(expected) ~= "table" then
    return math.type(expected) == math.type(actual) and expected == actual
      and (expected ~= 0 or 1 / expected == 1 / actual)
  end
  if type(actual) ~= "table" then return false end
  if tycho.is_array(expected) ~= tycho.is_array(actual) then return false end
  for key, value in pairs(expected) do
    if not same(value, actual[key]) then return false end
  end
  for key in pairs(actual) do
    if expected[key] == nil then return false end
  end
  return true
end

-- ------------------------------------------------------------------ random values

local PIECES = { "a", "key", "ö", "日本", "\u{1F52D}", "\0", "\n", "\"", "\\", "\127", " ", "/" }

local function random_text(source)
  local pieces = {}
  for index = 1, source:between(0, 12) do pieces[index] = source:one(PIECES) end
  return table.concat(pieces)
end

local function random_bytes(source)
  local bytes = {}
  for index = 1, source:between(0, 40) do bytes[index] = string.char(source:between(0, 255)) end
  return table.concat(bytes)
end

local function random_float(source)
  if source:chance(50) then return source:between(-10 ^ 6 // 1 | 0, 10 ^ 6 // 1 | 0) / 100 end
  local value
  repeat
    value = string.unpack("<d", string.pack("<I8", source:bits()))
  until value == value and value ~= math.huge and value ~= -math.huge
  return value
end

local scalars = {
  function() return tycho.null end,
  function(source) return source:chance(50) end,
  function(source) return source:bits() >> source:between(0, 63) end,
  function(source) return -(source:bits() >> source:between(0, 63)) end,
  random_float,
  random_text,
  random_bytes,
  function(source) return tycho.binary(random_bytes(source)) end,
}

local function random_value(source, depth)
  if depth == 0 or source:chance(50) then return source:one(scalars)(source) end
  local value, count = {}, source:between(0, source:chance(10) and 40 or 6)
  if source:chance(50) then
    for index = 1, count do value[index] = random_value(source, depth - 1) end
    return tycho.array(value)
  end
  for _ = 1, count do value[random_text(source)] = random_value(source, depth - 1) end
  return value
end

--- The same value, its tables filled in another order.
local function rebuilt(value)
  if type(value) ~= "table" then return value end
  local keys, copy = {}, {}
  for key in pairs(value) do keys[#keys + 1] = key end
  for index = #keys, 1, -1 do copy[keys[index]] = rebuilt(value[keys[index]]) end
  return tycho.is_array(value) and tycho.array(copy) or copy
end

local function nested(depth, wrap)
  local value = 1
  for _ = 1, depth do value = wrap(value) end
  return value
end

local function in_array(value) return { value } end
local function in_map(value) return { a = value } end

for name, codec in pairs(codecs) do
  describe("tycho." .. name, function()
    it("gives back what was put in, and always the same bytes for it", function()
      local source = random.new(SEED)
      for index = 1, VALUES do
        local value = random_value(source, 4)
        local text = codec.encode(value)
        local again = codec.decode(text)
        local seed = ("SEED=%d, value %d"):format(SEED, index)
        assert.is_true(same(value, again), seed)
        assert.is_true(text == codec.encode(again), seed)
        assert.is_true(text == codec.encode(rebuilt(value)), seed)
      end
    end)

    it("keeps integers, floats, zeros and limits apart", function()
      for _, value in ipairs { 0, 0.0, -0.0, 1, 1.0, -1, math.maxinteger, math.mininteger,
        (1 << 53) + 1, 2.0 ^ 53, 2.0 ^ 63, 0.1, 5e-324, 1.7976931348623157e308, 1e22, 1e15 } do
        assert.is_true(same(value, codec.decode(codec.encode(value))), tostring(value))
      end
    end)

    it("keeps an array that has become empty", function()
      local value = codec.decode(codec.encode { items = { "only" }, map = {} })
      table.remove(value.items)
      value = codec.decode(codec.encode(value))
      assert.is_true(tycho.is_array(value.items))
      assert.is_false(tycho.is_array(value.map))
    end)

    it("keeps null where it stands", function()
      local value = codec.decode(codec.encode { tycho.null, 1, tycho.null })
      assert.equal(3, #value)
      assert.equal(tycho.null, value[1])
      assert.equal(tycho.null, value[3])
      assert.equal(tycho.null, codec.decode(codec.encode(tycho.null)))
    end)

    it("gives binaries for binaries and for strings that are no text", function()
      local value = codec.decode(codec.encode { "\255", tycho.binary "text", tycho.binary "" })
      assert.equal("\255", value[1].bytes)
      assert.equal("text", tostring(value[2]))
      assert.equal(4, #value[2])
      assert.equal(tycho.binary "", value[3])
    end)

    it("reads tables raw", function()
      local function never() error("a metamethod was called") end
      local value = setmetatable({ a = 1 },
        { __index = never, __pairs = never, __len = never, __eq = never, __name = "Mine" })
      assert.equal(codec.encode { a = 1 }, codec.encode(value))
      assert.equal(codec.encode {}, codec.encode(setmetatable({}, { __len = never })))
    end)

    it("bounds the depth in both directions", function()
      for _, wrap in ipairs { in_array, in_map } do
        local text = codec.encode(nested(128, wrap))
        assert.equal(text, codec.encode(codec.decode(text)))
        assert.matches("128 tables deep", refusal.of(codec.encode, nested(129, wrap)).message)
      end
      assert.matches("128", refusal.of(codec.decode, ("\x91"):rep(129) .. "\1").message
        .. refusal.of(codec.decode, ("["):rep(129) .. ("]"):rep(129)).message)
    end)

    it("refuses tables that contain themselves, or grow without end", function()
      local circle = {}
      circle.first = { circle }
      assert.matches("^.-value%.first%[1%]%.first", refusal.of(codec.encode, circle).message)
      local doubled = { "0123456789" }
      for _ = 1, 40 do doubled = { doubled, doubled } end
      assert.matches("larger than %d+ MiB", refusal.of(codec.encode, doubled).message)
    end)

    it("is not disturbed by finalizers that use it", function()
      local runs, stop = 0, false
      local function finalizer()
        runs = runs + 1
        assert(codec.decode(codec.encode { b = "\u{e9}\n", a = { 1 } }).a[1] == 1)
        if not stop then setmetatable({}, { __gc = finalizer }) end
      end
      setmetatable({}, { __gc = finalizer })
      local source = random.new(SEED)
      local before = collectgarbage("incremental", 100, 1000)
      for _ = 1, 40 do
        local value = random_value(source, 3)
        assert.is_true(same(value, codec.decode(codec.encode(value))), "SEED=" .. SEED)
      end
      stop = true
      collectgarbage(before)
      collectgarbage()
      assert.is_true(runs > 0)
    end)

    it("survives every cut and any change of a byte", function()
      local source = random.new(SEED)
      local function must_say_where(ok, message)
        if ok or not message:find("%(byte %d+%)$") then error(tostring(message)) end
      end
      for _ = 1, 60 do
        local text = codec.encode { random_value(source, 4) }
        for size = 0, #text - 1 do
          must_say_where(pcall(codec.decode, text:sub(1, size)))
        end
        for _ = 1, 200 do
          local at = source:between(1, #text)
          local changed = text:sub(1, at - 1) .. string.char(source:between(0, 255))
            .. text:sub(at + 1)
          local ok, value = pcall(codec.decode, changed)
          if ok then pcall(codec.encode, value) else must_say_where(ok, value) end
        end
      end
    end)

    it("raises at the caller's line", function()
      assert.matches("^[^\n]-codec_spec%.lua:%d+: ", select(2, pcall(function()
        local text = codec.encode(print)
        return text
      end)))
      assert.matches("^[^\n]-codec_spec%.lua:%d+: ", select(2, pcall(function()
        local value = codec.decode("\xc1")
        return value
      end)))
    end)
  end)
end

describe("A value that cannot be kept", function()
  local function refused(value, ...)
    for name, codec in pairs(codecs) do
      local message = refusal.of(codec.encode, value).message
      for _, part in ipairs { ... } do
        assert.is_truthy(message:find(part, 1, true), name .. ": " .. message)
      end
    end
  end

  it("is refused with its path", function()
    refused(nil, "value is nil")
    refused(print, "value is a function")
    refused({ items = { 1, 2, print } }, "value.items[3] is a function")
    refused({ a = { ["b c"] = { coroutine.create(print) } } }, 'value.a["b c"][1] is a thread')
    refused({ io.stdout }, "value[1] is a userdata")
    refused({ x = 0 / 0 }, "value.x is NaN")
    refused({ x = { 1.5, math.huge } }, "value.x[2] is infinite")
    refused({ x = -math.huge }, "value.x is infinite")
    refused({ ["9"] = print }, 'value["9"] is a function')
    refused({ ["a\nb"] = print }, 'value["a?b"] is a function')
    refused({ ["a:"] = { ["a{"] = { ["a@"] = { ["a/"] = print } } } },
      'value["a:"]["a{"]["a@"]["a/"] is a function')
    refused({ a9_Z = print }, "value.a9_Z is a function")
  end)

  it("is refused for its keys, with the path of the table", function()
    refused({ items = { 1, 2, nil, 4 } }, "value.items has no item [3]")
    refused({ items = { [5] = 1 } }, "value.items has no item [1]")
    refused({ [2 ^ 53 | 0] = 1 }, "value has no item [1]")
    refused({ { [0] = 1 } }, "value[1] has the key 0")
    refused({ { [-1] = 1, 1 } }, "value[1] has the key -1")
    refused({ a = { [1.5] = 1 } }, "value.a has the key 1.5")
    refused({ a = { [true] = 1 } }, "value.a has the key true")
    refused({ a = { [false] = 1 } }, "value.a has the key false")
    refused({ a = { [{}] = 1 } }, "value.a has the key (a table)")
    refused({ a = { 1, 2, x = 3 } }, 'value.a has the key "x"')
    refused({ a = { ["\255"] = 3 } }, "value.a has the key", "UTF-8")
    refused({ a = tycho.array { x = 3 } }, 'value.a has the key "x"', "tycho.array")
  end)

  it("may be a map whose bad key comes late", function()
    for count = 1, 30 do
      local value = { [2.5] = 0 }
      for index = 1, count do value["k" .. index] = index end
      refused({ value }, "value[1] has the key 2.5")
    end
  end)

  it("leaves the codec in order", function()
    for _, codec in pairs(codecs) do
      local whole = codec.encode { a = { b = 1 }, c = 2 }
      for _ = 1, 3 do
        refusal.of(codec.encode, { a = { b = 1, z = { print } }, c = 2 })
        assert.equal(whole, codec.encode { a = { b = 1 }, c = 2 })
      end
    end
  end)

  it("shows long paths and keys in short", function()
    local key = ("k"):rep(300)
    local value = { [key] = print }
    for _ = 1, 50 do value = { [key] = value } end
    for _, codec in pairs(codecs) do
      assert.is_true(#refusal.of(codec.encode, value).message < 400)
    end
  end)
end)

describe("tycho.msgpack", function()
  local encode, decode = tycho.msgpack.encode, tycho.msgpack.decode

  it("writes the smallest encoding, keys in the order of their bytes", function()
    assert.equal("\x85\xa0\xc0\xa1B\xc3\xa1a\x01\xa2aa\xcb\x3f\xf8\0\0\0\0\0\0\xa1b\x92\x80\x90",
      encode { b = { {}, tycho.array() }, a = 1, aa = 1.5, B = true, [""] = tycho.null })
    assert.equal("\xc4\1\xff", encode "\255")
    local many, keys = {}, {}
    for index = 1, 1000 do many["k" .. index] = true end
    for key in encode(many):gmatch("k%d+") do keys[#keys + 1] = key end
    local sorted = table.move(keys, 1, #keys, 1, {})
    table.sort(sorted)
    assert.equal(1000, #keys)
    assert.same(sorted, keys)
  end)

  it("reads what others may write", function()
    assert.equal(1, decode "\xd3\0\0\0\0\0\0\0\1")
    assert.equal(1.5, decode "\xca\x3f\xc0\0\0")
    assert.equal(math.maxinteger, decode "\xcf\x7f\xff\xff\xff\xff\xff\xff\xff")
    assert.same({ [1] = "x", [-7] = "y" }, decode "\x82\1\xa1x\xf9\xa1y")
    assert.equal(2, decode("\x82\xa1a\1\xa1a\2").a)
    assert.equal("text", decode "\xdb\0\0\0\4text")
  end)

  it("reads so many integer keys in all that none take long, whatever they are", function()
    local function maps(count, keys)
      local one = {}
      for key = 1, keys do one[key] = ("\xce%s\1"):format((">I4"):pack(key * 131071)) end
      local map = ("\xdf%s%s"):format((">I4"):pack(keys), table.concat(one))
      return ("\xdd%s%s"):format((">I4"):pack(count), map:rep(count))
    end
    assert.equal(1, decode(maps(16, 1024))[16][1024 * 131071])
    for _, text in ipairs { maps(1, 16385), maps(17, 1024) } do
      assert.has_error(function() decode(text) end)
      local _, err = pcall(decode, text)
      assert(tostring(err):find("has over 16384 integer keys (byte ", 1, true), tostring(err))
    end
  end)

  it("refuses what Lua cannot hold, with the byte", function()
    for text, part in pairs {
      [""] = "ends within a value (byte 1)",
      ["\xc1"] = "0xc1",
      ["\1\1"] = "behind the value (byte 2)",
      ["\xcf\xff\xff\xff\xff\xff\xff\xff\xff"] = "above 2^63-1 (byte 1)",
      ["\x91\xd4\1x"] = "extension type (byte 2)",
      ["\x81\xcb\x7f\xf8\0\0\0\0\0\0\1"] = "a key that is neither",
      ["\x81\xc0\1"] = "a key that is neither",
      ["\x81\x90\1"] = "a key that is neither",
      ["\xdd\xff\xff\xff\xff\1"] = "ends within a value",
      ["\xdf\xff\xff\xff\xff\1\1"] = "ends within a value",
      ["\xdb\xff\xff\xff\xff\1"] = "ends within a value",
      ["\xc6\xff\xff\xff\xff"] = "ends within a value",
      [("\xde\xff\xff"):rep(20000)] = "ends within a value",
      [("\xdc\x10\0"):rep(4000)] = "128 containers",
    } do
      local message = refusal.of(decode, text).message
      assert.is_truthy(message:find(part, 1, true), message)
    end
  end)
end)

describe("tycho.json", function()
  local encode, decode = tycho.json.encode, tycho.json.decode

  it("writes one line, keys in the order of their bytes, floats as short as they can be", function()
    assert.equal('{"":null,"B":true,"a":1,"aa":1.0,"b":[{},[],0.1,1e+100,-2.5]}',
      encode { b = { {}, tycho.array(), 0.1, 1e100, -2.5 }, a = 1, aa = 1.0, B = true,
        [""] = tycho.null })
    assert.equal([["\"\\/\b\f\n\r\t\u0000\u001fé"]], encode "\"\\/\b\f\n\r\t\0\31\u{e9}")
    assert.equal('{"base64":"/w=="}', encode "\255")
    assert.equal('{"base64":"dGV4dA=="}', encode(tycho.binary "text"))
  end)

  it("reads numbers as what they look like", function()
    for text, value in pairs { ["1"] = 1, ["-0"] = 0, ["1.0"] = 1.0, ["1e2"] = 100.0,
      ["9007199254740993"] = 9007199254740993, ["-9223372036854775808"] = math.mininteger,
      ["9223372036854775808"] = 2.0 ^ 63, ["1e-400"] = 0.0 } do
      assert.is_true(same(value, decode(text)), text)
    end
  end)

  it("reads a string's escapes", function()
    assert.equal("\u{e9}\u{1F52D}\0\"/\n", decode [["\u00e9\ud83d\udd2d\u0000\"\/\n"]])
  end)

  it("takes the last of a key that comes twice", function()
    assert.equal(2, decode('{"a":1,"a":2}').a)
  end)

  it("reads an object of canonical base64 alone as binary, others as they are", function()
    assert.equal(tycho.binary "text", decode '{"base64":"dGV4dA=="}')
    assert.equal(tycho.binary "", decode '{"base64":""}')
    for _, text in ipairs { '{"base64":"dGV4dA"}', '{"base64":"dGV4dB=="}', '{"base64":1}',
      '{"base64":"dGV4dA==","x":1}', '{"Base64":"dGV4dA=="}', '{"base64":{"base64":5}}' } do
      assert.equal("table", type(decode(text)))
      assert.equal(text, encode(decode(text)))
    end
  end)

  it("reads objects of many keys", function()
    local value = {}
    for number = 1, 100 do value["k" .. number] = number end
    for _ = 1, 3 do assert.same(value, decode(encode(value))) end
  end)

  it("refuses what is not JSON, with the byte", function()
    for text, place in pairs { [""] = 1, ["[1,]"] = 4, ["[01]"] = 2, ["[NaN]"] = 2, ["1 x"] = 3,
      ['{"a":1,}'] = 8, ["{a:1}"] = 2, ["'a'"] = 1, ['"\255"'] = 2, ['"\n"'] = 2, ['"\\ud800"'] = 4,
      ["[1e400]"] = 2, ["nul"] = 1, ["// x\n1"] = 1, ["\u{FEFF}1"] = 1, ["[1\0]"] = 3 } do
      assert.matches("%(byte " .. place .. "%)$", refusal.of(decode, text).message)
    end
  end)
end)

describe("Arrays, null and binaries", function()
  it("are the same for every copy of the module in a state", function()
    local loaded = package.loaded["tycho.core"]
    package.loaded["tycho.core"] = nil
    local again = require "tycho.core"
    package.loaded["tycho.core"] = loaded
    assert.equal(tycho.null, again.null)
    assert.is_true(again.is_array(tycho.array()))
    assert.equal("[]", again.json.encode(tycho.array()))
    assert.equal(again.binary "x", tycho.binary "x")
    assert.equal('{"base64":"eA=="}', again.json.encode(tycho.binary "x"))
  end)

  it("are marked by tycho.array, which refuses tables with another metatable", function()
    local list = {}
    assert.equal(list, tycho.array(list))
    assert.equal(list, tycho.array(list))
    assert.is_true(tycho.is_array(list))
    assert.is_true(tycho.is_array { 1 })
    for _, value in ipairs { {}, { a = 1 }, { 1, nil, 3 }, { [2] = 1 }, "x", 5, false } do
      assert.is_false(tycho.is_array(value))
    end
    refusal.of(tycho.array, setmetatable({}, {}))
    refusal.of(tycho.array, 5)
  end)

  it("have the bytes of a binary, and nothing else", function()
    local binary = tycho.binary "a\0b"
    assert.equal("a\0b", binary.bytes)
    assert.equal("a\0b", tostring(binary))
    assert.equal(3, #binary)
    assert.are_not.equal(binary, tycho.binary "a\0c")
    assert.are_not.equal(binary, tycho.binary "a\0")
    assert.is_false(binary == io.stdout)
    assert.is_false(io.stdout == binary)
    assert.is_false(pcall(function() return binary.size end))
    assert.is_false(pcall(function() return binary[1] end))
    assert.is_false(pcall(function() binary.bytes = "x" end))
    assert.is_false(pcall(tycho.binary, 5))
  end)
end)

describe("One field of an event", function()
  local store

  before_each(function() store = tycho.temporary { sync = "none" } end)
  after_each(function() store:close() end)

  local function stored(data)
    store:append("a", { type = "t", data = data })
    return store:last_event("a")
  end

  it("is what the whole has there", function()
    local source = random.new(SEED)
    for index = 1, 200 do
      local data = { random_value(source, 4) }
      local event = stored(data)
      local here, path = data, {}
      while type(here) == "table" do
        local keys = {}
        for key in pairs(here) do keys[#keys + 1] = key end
        local key = source:one(keys)
        if key == nil then break end
        path[#path + 1], here = key, here[key]
        assert.is_true(same(here, event:field(table.unpack(path))),
          ("SEED=%d, value %d"):format(SEED, index))
      end
    end
  end)

  it("is nil when there is none", function()
    local event = stored { list = { 1, { a = "x" } }, name = "n" }
    assert.equal("x", event:field("list", 2, "a"))
    assert.is_nil(event:field("list", 3))
    assert.is_nil(event:field("list", 0))
    assert.is_nil(event:field("list", -1))
    assert.is_nil(event:field("list", "a"))
    assert.is_nil(event:field("name", "n"))
    assert.is_nil(event:field("nam"))
    assert.is_nil(event:field("names"))
    assert.is_nil(event:field(1))
    assert.is_false(pcall(event.field, event, true))
    assert.is_false(pcall(event.field, event, 1.5))
  end)
end)
