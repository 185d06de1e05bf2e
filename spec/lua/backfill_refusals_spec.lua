--- store:backfill: what ends it before its end, and what it refuses.
local backfilling = require "support.backfilling"
local refusal = require "support.refusal"
local tycho = require "tycho"
local unchanged = require "support.unchanged"

local fill, break_off = backfilling.fill, backfilling.break_off
local V1, V2 = backfilling.VERSION_1, backfilling.VERSION_2

describe("store:backfill", function()
  local fresh = require("support.store")()
  local store
  before_each(function() store = fresh() end)

  local function check(...) backfilling.check(store, ...) end

  it("stops at an event at which the linker fails, and says where", function()
    fill(store, 1, 300)
    local bad = [[return linker { name = "bad", version = 1, streams = "*", to = function(event)
      if event.data.number == 250 then error("no such customer") end
      return "all"
    end }]]
    local err = refusal.with("rejected", store.backfill, store, { source = bad, chunk = 100 })
    assert.matches("at position 250", err.message, 1, true)
    assert.same({ 250, "e250", "linker/bad" }, { err.position, err.event_id, err.script })
    assert.equal(100, store:backfill { linker = "bad", dry_run = true }.position)
    local mended = bad:gsub("error%b()", "return")
    local other = refusal.with("condition_failed", store.backfill, store, { source = mended })
    assert.matches("begun with another source", other.message)
    store:backfill { linker = "bad", cancel = true }
    store:backfill { source = mended }
    check(mended)
  end)

  it("stops at an event for which the linker names a stream that it does not declare", function()
    fill(store, 1, 300)
    local source = [[return linker { name = "l", version = 1, streams = "all", to = function(event)
      return event.data.number == 250 and "al" or "all"
    end }]]
    local err = refusal.with("rejected", store.backfill, store, { source = source, chunk = 100 })
    assert.same({ 250, 1, "linker/l" }, { err.position, err.line, err.script })
    assert.matches('the stream "al" is not among', err.reason, 1, true)
    store:backfill { linker = "l", cancel = true }
    check()
  end)

  it("refuses to go on when another version was deployed meanwhile", function()
    fill(store, 1, 2000)
    break_off(store, { source = V2, chunk = 400 }, 2)
    store:deploy { sources = V1 }
    local err = refusal.with("condition_failed", store.backfill, store, { linker = "by_customer" })
    assert.matches("another version", err.message)
    store:backfill { linker = "by_customer", cancel = true }
    store:backfill { source = V2 }
    check(V2)
  end)

  it("refuses to end when the linker was deployed while it was at work", function()
    fill(store, 1, 3000)
    for _, case in ipairs { { V1, V1 }, { V2, V1 } } do
      local is_begun = false
      local err = refusal.with("condition_failed", store.backfill, store, {
        source = case[1], chunk = 400, progress = function(status)
          if is_begun or status.phase ~= "linking" then return end
          is_begun = true
          store:deploy { sources = case[2] }
        end,
      })
      assert.matches(case[1] == case[2] and "was deployed by itself" or "another version",
        err.message)
      store:backfill { linker = "by_customer", cancel = true }
      store:deploy { remove = "linker/by_customer" }
    end
    for name in store:streams { prefix = "customer-" } do store:delete_stream(name) end
    store:delete_stream("paid")
    store:backfill { source = V2 }
    check(V2)
  end)

  it("stops where the linker is deployed by itself, and takes none of its links when cancelled",
    function()
      fill(store, 1, 3000)
      local count = 0
      local err = refusal.with("condition_failed", store.backfill, store, {
        source = V1, chunk = 400, progress = function(status)
          count = count + (status.phase == "linking" and 1 or 0)
          if count == 2 then store:deploy { sources = V1 } end
          if count >= 2 then fill(store, 3000 + count, 3000 + count) end
        end,
      })
      assert.matches("was deployed by itself", err.message)
      assert.equal(2, count)
      fill(store, 4001, 4400)
      local linked = 0
      store:backfill { linker = "by_customer", cancel = true }
      for name in store:streams { prefix = "customer-" } do
        for event in store:read():stream(name):each() do
          linked = linked + 1
          assert.is_true(event:field("number") > 3000)
        end
      end
      local placed = store:read():of_type("OrderPlaced", "OrderPaid"):from_position(3001):count()
      assert.is_true(linked > 0)
      assert.equal(placed, linked)
      store:backfill { linker = "by_customer" }
      check(V1)
    end)

  it("keeps a type from being renamed or upcast until it has ended, and loses no link", function()
    local sources = {
      [[return event_type { name = "New", version = 1, former_names = { "Old" } }]],
      [[return event_type { name = "Old", version = 2,
        upcast = { function(data) return data end } }]],
    }
    for case, source in ipairs(sources) do
      local linker = ("linker_%d"):format(case)
      for number = 1, 20 do
        store:append("s" .. case, { type = "Old", data = { number = number } })
      end
      local refused = 0
      store:backfill {
        source = ([[return linker { name = "%s", version = 1, by = "type", prefix = "%s-" }]])
          :format(linker, linker),
        chunk = 5,
        progress = function(status)
          if status.phase ~= "linking" then return end
          local err = refusal.with("rejected", store.deploy, store, { sources = source })
          assert.matches('the linker "' .. linker .. '" is being back%-filled', err.message)
          store:deploy { sources = [[return event_type { name = "Other", version = 1 }]] }
          refused = refused + 1
        end,
      }
      assert.is_true(refused > 0)
      assert.equal(20 * case, store:read():stream(linker .. "-Old"):count())
      assert.equal(20 * case, store:read():of_type("Old"):count())
      if case == #sources then store:deploy { sources = source } end
    end
    assert.equal(2, store:script("event_type", "Old").version)
  end)

  it("refuses what may not be deployed", function()
    fill(store, 1, 10)
    store:deploy { sources = V2 }
    store:with_lock("any", function() end) -- tokens are reserved in a batch
    local function refuses(code, options)
      return unchanged(store, code, function() store:backfill(options) end, { "tycho.backfills" })
    end
    refuses("rejected", { source = V1 })
    refuses("rejected", { source = "return 1" })
    refuses("rejected", { source = V2 .. "\n" })
    local err = refuses("invalid_argument",
      { source = 'return event_type { name = "A", version = 1 }' })
    assert.matches("no linker", err.message)
    refuses("not_found", { linker = "nobody" })
  end)

  it("refuses an event that is linked into more streams than a batch can name", function()
    store:append("orders", { type = "Sold", data = { number = 1 } })
    local wide = [[return linker { name = "wide", version = 1, streams = "*", to = function()
      local names = {}
      for index = 1, 10000 do names[index] = "s" .. index end
      return names
    end }]]
    local err = refusal.with("too_large", store.backfill, store, { source = wide })
    assert.matches("position 1 ", err.message)
  end)

  it("refuses an event that has too many links, with its position", function()
    fill(store, 1, 2)
    local wide = [[return linker { name = "wide", version = 1, streams = "*", to = function()
      local names = {} for i = 1, %d do names[i] = "w" .. i end return names end }]]
    local err = refusal.with("too_large", store.backfill, store, { source = wide:format(9901) })
    assert.equal("the linker links the event at position 1 into 9901 streams, "
      .. "and at most 4950 are back-filled", err.message)
    assert.equal(9900, store:backfill({ source = wide:format(4950) }).linked)
  end)

  it("waits for another that goes on with it, and then says who that is", function()
    local scratch, process = require "support.scratch", require "support.process"
    local path, directory = scratch.path()
    local here <close> = tycho.open(path)
    local holder = process.lua("spec/fault/lock_holder.lua",
      { path, "tycho.backfill:linker/by_customer" })
    holder:read()
    local err = refusal.with("timeout", here.backfill, here, { source = V1, lock_timeout = 0.01 })
    assert.matches("process %d+ is back%-filling \"by_customer\"", err.message)
    process.clean()
    assert.equal("done", here:backfill { source = V1 }.phase)
    scratch.remove(directory)
  end)

  it("does not mend what is damaged in its row", function()
    fill(store, 1, 10)
    local hash = "0123456789abcdef"
    for index, damaged in ipairs {
      { phase = 1, position = -5, hash = "x" }, "text", { "phase", 1 }, {},
      { phase = "1", position = 0, hash = hash },
      { phase = 1, position = 0 }, { phase = 1, position = 0, hash = 7 },
      { phase = 1, position = 0, hash = hash .. "0" }, { phase = 9, position = 0, hash = hash },
      { phase = 0, position = 0, hash = hash },
    } do
      store:batch(function(batch)
        batch:put_row("tycho.backfills", "linker/by_customer", damaged)
      end)
      local err = refusal.with("corrupt", store.backfill, store, { source = V1 })
      assert.matches("the row of a back%-fill .* is damaged", err.message, nil, nil, index)
    end
    store:batch(function(batch) batch:delete_row("tycho.backfills", "linker/by_customer") end)
    store:backfill { source = V1 }
    check(V1)
  end)

  it("does not mend what is damaged in the row of a stream that is made anew", function()
    local core = require "tycho.core"
    local table_name = ("tycho.prepared/%016x"):format(core.hash("by_customer"))
    fill(store, 1, 1200)
    store:backfill { source = V1 }
    break_off(store, { source = V2, chunk = 500 }, 3)
    local stream, kept = store:rows(table_name)()
    assert.equal(8, #kept)
    for _, damaged in ipairs {
      "text", { 1, 2 }, { 1, 2, 3, 4, 5, 6, 7, "8" }, { a = 1 }, { 1, 2, 3, 4, 5, 6, 7, 8, 9 },
    } do
      store:batch(function(batch) batch:put_row(table_name, stream, damaged) end)
      refusal.with("corrupt", store.backfill, store, { source = V2 })
      assert.equal(1, store:script("linker", "by_customer").version)
    end
    store:batch(function(batch) batch:put_row(table_name, stream, kept) end)
    store:backfill { source = V2 }
    check(V2)
  end)

  it("has room for the longest names of a linker and its lock", function()
    local long = ("n"):rep(255 - #"linker/")
    fill(store, 1, 100)
    local source = V1:gsub("by_customer", long)
    assert.equal("done", store:backfill({ source = source }).phase)
    check(source)
    refusal.with("invalid_argument", store.backfill, store, { linker = ("n"):rep(256) })
  end)

  it("refuses misuse at the caller's line", function()
    for _, options in ipairs {
      {}, { source = V1, linker = "a" }, { source = 1 }, { source = V1, chunk = 0 },
      { source = V1, chunk = 10001 }, { source = V1, pause = -1 }, { source = V1, x = 1 },
      { source = V1, cancel = true, dry_run = true }, { source = V1, progress = 1 },
    } do
      local err = refusal.with("invalid_argument", store.backfill, store, options)
      local misuse = refusal.of(function() store:backfill(options) end)
      assert.matches("backfill_refusals_spec", misuse.message)
      assert.is_string(err.message)
    end
    refusal.with("not_found", store.backfill, store, { file = "/does/not/exist.lua" })
    local closed = tycho.temporary()
    closed:close()
    refusal.with("invalid_argument", closed.backfill, closed, { source = V1 })
  end)
end)
