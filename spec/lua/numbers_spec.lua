--- Numbers where none, or others, belong: NaN, infinities, fractions, what integers cannot hold,
--- and the ends of 31, 32, 53 and 63 bits, in every place that takes a number.

local plain = require "support.plain"
local rpc = require "support.rpc"
local tycho = require "tycho"

local NAN, HUGE = 0 / 0, math.huge
local NO_INTEGERS = { NAN, -NAN, HUGE, -HUGE, 1.5, -0.5, 2 ^ 63, -2 ^ 70, 1e308, "1", true, {} }
local NO_SECONDS = { NAN, -NAN, HUGE, -HUGE, -1, -0.001, 1e9, 2 ^ 63, math.maxinteger,
  math.mininteger, "1", true, {} }
local ENDS = { math.mininteger, -(1 << 53), -(1 << 32), -(1 << 31), -2, -1, 0, 1, (1 << 31) - 1,
  1 << 31, (1 << 32) - 1, 1 << 32, (1 << 53) + 1, math.maxinteger - 1, math.maxinteger }
local REFUSALS = { invalid_argument = true, condition_failed = true, wrong_expected_version = true }

describe("A number", function()
  local store
  before_each(function()
    store = tycho.temporary { sync = "none" }
    for number = 1, 3 do store:append("s", { type = "t", id = "e" .. number }) end
    store:append("shortened", { type = "t" })
  end)
  after_each(function()
    assert.same({}, store:verify().findings)
    store:close()
  end)

  local function read(method)
    return function(value)
      local specification = store:read()
      specification[method](specification, value):count()
    end
  end

  local INTEGERS = {
    limit = read "limit", from_position = read "from_position", to_position = read "to_position",
    older_than = read "older_than", newer_than_or_equal = read "newer_than_or_equal",
    from_revision = function(value) store:read():stream("s"):from_revision(value):count() end,
    to_revision = function(value) store:read():stream("s"):to_revision(value):count() end,
    between_first = function(value) store:read():between(value, 1):count() end,
    between_before = function(value) store:read():between(1, value):count() end,
    page = function(value) store:read():page(value) end,
    each_batch = function(value) store:read():each_batch(value)() end,
    time = function(value) store:append("s", { type = "t", time = value }) end,
    valid_time = function(value) store:append("s", { type = "t", valid_time = value }) end,
    expected_version = function(value)
      store:append("s", { type = "t" }, { expected_version = value })
    end,
    truncate = function(value) store:truncate("shortened", value) end,
    checkpoint = function(value) store:set_checkpoint("c", value) end,
    checkpoint_expected = function(value) store:set_checkpoint("c", 1, { expected = value }) end,
    row_version = function(value) store:put_row("rows", "k", 1, { version = value }) end,
    rows_limit = function(value) store:rows("rows", { limit = value })() end,
    streams_limit = function(value) store:streams { limit = value }() end,
    wait_position = function(value) store:wait(value, 0) end,
    follow_position = function(value) store:follow({ from_position = value }):next(0) end,
    expect_none = function(value)
      store:batch(function(batch) batch:expect_none({ tags = { "x" } }, value):append("s",
        { type = "t" }) end)
    end,
    expect_lock = function(value)
      store:batch(function(batch) batch:expect_lock("l", value):append("s", { type = "t" }) end)
    end,
    link_range_first = function(value)
      store:batch(function(batch) batch:link_range("s", value, nil, "x" .. value) end)
    end,
    link_range_last = function(value)
      store:batch(function(batch) batch:link_range("s", 0, value, "y" .. value) end)
    end,
    rename_chunk = function(value)
      store:rename { source = "s", target = "z", chunk = value, dry_run = true }
    end,
    format_time = function(value) tycho.format_time(value) end,
    content_id_seed = function(value) tycho.content_id(value, "x") end,
    content_id_occurrence = function(value) tycho.content_id(1, "x", value) end,
    content_id_time = function(value) tycho.content_id(1, "x", 0, value) end,
    map_size = function(value) tycho.temporary({ map_size = value }):close() end,
    readers_max = function(value) tycho.temporary({ readers_max = value }):close() end,
    marks_max = function(value) tycho.temporary({ marks_max = value }):close() end,
    reserve_size = function(value) tycho.temporary({ reserve_size = value }):close() end,
  }
  -- These take what Lua's own functions take, "1" too.
  local TAKES_STRINGS = { content_id_seed = true, content_id_occurrence = true,
    content_id_time = true, format_time = true }

  local SECONDS = {
    wait = function(value) store:wait(4, value) end,
    next = function(value)
      local follower <close> = store:follow { from_position = "end" }
      follower:next(value)
    end,
    lock = function(value) store:lock("l", { timeout = value }):release() end,
    write_timeout = function(value) tycho.temporary({ write_timeout = value }):close() end,
    pause = function(value)
      store:rename { source = "s", target = "z", pause = value, dry_run = true }
    end,
    lock_timeout = function(value)
      store:rename { source = "s", target = "z", lock_timeout = value, dry_run = true }
    end,
  }

  local function assert_misuse(name, use, value)
    local ok, err = pcall(use, value)
    local said = ("%s of %s: %s"):format(name, tostring(value), tostring(err))
    assert.is_false(ok, said)
    assert.equal("string", type(err), said)
    assert.matches("numbers_spec%.lua:%d+: ", err, said)
  end

  it("that is no integer is refused where one is wanted, and nothing is changed", function()
    local before = plain.dump(store, { "rows" })
    for name, use in pairs(INTEGERS) do
      for _, value in ipairs(NO_INTEGERS) do
        if not (TAKES_STRINGS[name] and type(value) == "string") then
          assert_misuse(name, use, value)
        end
      end
    end
    assert.same(before, plain.dump(store, { "rows" }))
  end)

  it("at an end of what integers hold is taken, or refused in words", function()
    for name, use in pairs(INTEGERS) do
      for _, value in ipairs(ENDS) do
        local ok, err = pcall(use, value)
        local said = ("%s of %s: %s"):format(name, value, tostring(err))
        assert.is_true(ok or type(err) == "string" and #err > 0 or REFUSALS[err.code], said)
      end
    end
  end)

  it("that is no time to wait is refused, and does not wait", function()
    for name, use in pairs(SECONDS) do
      for _, value in ipairs(NO_SECONDS) do assert_misuse(name, use, value) end
    end
  end)

  it("of the host protocol is refused in the same way", function()
    local host <close> = setmetatable({ host = rpc.host() },
      { __close = function(self) self.host:finish() end })
    host.host:ask("append", { stream = "s", records = { { event_type = "t" } } })
    local requests = {
      '{"id":1,"op":"read","spec":{"limit":%s}}', '{"id":1,"op":"read","spec":{"lt":%s}}',
      '{"id":1,"op":"read","spec":{"from_position":%s}}', '{"id":1,"op":"read","page":%s}',
      '{"id":1,"op":"append","stream":"s","expected_version":%s,"records":[{"event_type":"t"}]}',
      '{"id":1,"op":"append","stream":"s","records":[{"event_type":"t","timestamp":%s}]}',
      '{"id":1,"op":"lock","name":"l","timeout_ms":%s}',
      '{"id":1,"op":"rename","source":"s","target":"z","dry_run":true,"chunk":%s}',
      '{"id":1,"op":"rename","source":"s","target":"z","dry_run":true,"pause_ms":%s}',
    }
    for _, request in ipairs(requests) do
      for _, number in ipairs { "NaN", "Infinity", "-Infinity", "1e400", "1.5", "-1.5",
        "9223372036854775808", "-9223372036854775809", "18446744073709551616", "true", "{}" } do
        local answer = host.host:raw(request:format(number))
        assert.is_false(answer.ok, request:format(number))
        assert.equal("invalid_argument", answer.error == "invalid_expected_version"
          and "invalid_argument" or answer.error, request:format(number))
      end
    end
    assert.equal(1, #host.host:ask("read", { spec = { limit = 10 } }).events)
  end)
end)
