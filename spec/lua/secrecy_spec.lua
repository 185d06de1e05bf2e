--- What errors do not tell: the texts in data, metadata and rows. Errors end in logs, which more
--- people read than may read the store.

local command = require "support.command"
local json = require("tycho").json
local rpc = require "support.rpc"
local tycho = require "tycho"

local SECRET = "s3cr3t"
local DATA = { password = SECRET, nested = { { token = SECRET } }, n = 1 }

--- All that an error tells, as one text.
local function told(value, seen)
  seen = seen or {}
  if type(value) ~= "table" or seen[value] then return tostring(value) end
  seen[value] = true
  local parts = { tostring(value) }
  for name, field in pairs(value) do parts[#parts + 1] = name .. "=" .. told(field, seen) end
  return table.concat(parts, " ")
end

local function keeps_the_secret(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  assert.is_nil(told(err):find(SECRET, 1, true), told(err))
end

local function new(fields)
  local event = { type = "T", data = DATA, metadata = { by = SECRET } }
  for name, value in pairs(fields or {}) do event[name] = value end
  return event
end

describe("An error does not tell the data", function()
  local fresh = require("support.store")()

  it("of an event that is refused by the store", function()
    local store = fresh()
    store:append("s", new { id = "one" })
    for _, fields in ipairs {
      { id = "one" }, { id = ("x"):rep(65) }, { type = "" }, { tags = { "" } }, { time = "now" },
      { data = { a = SECRET, b = print } }, { data = { SECRET, nil, SECRET } },
      { data = { a = SECRET, b = 0 / 0 } }, { metadata = { a = SECRET, b = print } },
      { data = { a = SECRET:rep(3 << 20) } },
    } do
      keeps_the_secret(store.append, store, "s", new(fields))
    end
    keeps_the_secret(store.append, store, "s", new(), { expected_version = "none" })
    keeps_the_secret(store.overwrite, store, new { id = "two" })
  end)

  it("of a row", function()
    local store = fresh()
    store:put_row("t", "k", DATA)
    keeps_the_secret(store.put_row, store, "t", "k", DATA, { version = 7 })
    keeps_the_secret(store.put_row, store, "t", ("k"):rep(401), DATA)
  end)

  it("of text that cannot be decoded", function()
    keeps_the_secret(json.decode, ('{"a":"%s",'):format(SECRET))
    keeps_the_secret(json.decode, ('{"a":"%s\255"}'):format(SECRET))
    keeps_the_secret(json.decode, ('{"a":%s}'):format(SECRET))
    keeps_the_secret(tycho.msgpack.decode, tycho.msgpack.encode(DATA):sub(1, -2))
  end)

  it("of an event that a script refuses, or fails at", function()
    local store = fresh()
    store:deploy { sources = {
      [[return event_type { name = "Typed", version = 1,
        data = { password = "integer", nested = "any", n = "integer" } }]],
      [[return event_type { name = "Open", version = 1, check = function(data)
        return data.password + data.nested end }]],
      [[return linker { name = "l", version = 1, from = { types = { "Linked" } },
        streams = "*",
        to = function(event) return #event.data.password * event.data.password end }]],
    } }
    for _, name in ipairs { "Typed", "Open", "Linked" } do
      keeps_the_secret(store.append, store, "s", new { type = name })
    end
  end)

  it("of an event that a read model fails at", function()
    local store = fresh()
    store:append("s", new())
    store:deploy { sources = [[return read_model { name = "M", version = 1, types = { "T" },
      keys = function() return 1 end, history = function() return { { stream = "s" } } end,
      init = function() return {} end,
      on = { T = function(state, event) state.n = event.data.password + 1 end } }]] }
    local model <close> = store:model("M")
    keeps_the_secret(model.get, model, 1)
  end)

  it("of a request of the host protocol", function()
    local host = rpc.host()
    local function refused(text)
      local answer = host:raw(text)
      assert.is_false(answer.ok)
      assert.is_nil(told(answer):find(SECRET, 1, true), told(answer))
    end
    local record = ('{"event_type":"T","data":{"password":"%s"},"metadata":%%s}'):format(SECRET)
    refused(('{"id":1,"op":"append","stream":"s","records":[%s]}'):format(
      record:format('"' .. SECRET .. '"')))
    refused(('{"id":1,"op":"append","stream":"s","expected_version":7,"records":[%s]}'):format(
      record:format("{}")))
    refused(('{"id":1,"op":"append","stream":"s","records":[%s'):format(record:format("{}")))
    host:finish()
  end)

  it("of a line that cannot be imported", function()
    local program = command.new()
    for _, rest in ipairs { '}', ',}', ', "x":1}}' } do
      local result = program:run("import -", {
        stdin = ('{"type":"T","data":{"password":"%s"%s\n'):format(SECRET, rest),
      })
      assert.equal(1, result.status)
      assert.is_nil(result.err:find(SECRET, 1, true), result.err)
    end
    program:close()
  end)
end)
