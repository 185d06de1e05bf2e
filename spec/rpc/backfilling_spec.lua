--- The host protocol, back-filling: the op backfill with its progress, while others publish;
--- stopped, gone on with, cancelled, refused.

local backfilling = require "support.backfilling"
local connection = require "support.connection"
local process = require "support.process"
local rpc = require "support.rpc"
local scratch = require "support.scratch"
local tycho = require "tycho"

local V1, V2 = backfilling.VERSION_1, backfilling.VERSION_2

describe("The host protocol, back-filling", function()
  local path, directory, c, store
  before_each(function()
    path, directory = scratch.path()
    store = tycho.open(path, { sync = "none" })
    backfilling.fill(store, 1, 2500)
    c = connection.open(path)
  end)
  after_each(function()
    process.clean()
    local found = store:verify().findings
    store:close()
    scratch.remove(directory)
    assert.same({}, found)
  end)

  --- The statuses of a request up to its answer, and the answer.
  local function finish(id, step)
    local progress = {}
    while true do
      local line = c:line(id)
      if line.ok ~= nil then return progress, line end
      progress[#progress + 1] = line.progress
      if step then step(line.progress) end
    end
  end

  local function check(...)
    assert.same(backfilling.expected(store, ...), backfilling.streams(store))
    backfilling.check_clean(store)
  end

  it("tells its progress and its result, and the connection goes on meanwhile", function()
    local id = c:send("backfill", { source = V1, chunk = 300 })
    assert.equal(2500, c:ask("head"))
    local progress, answer = finish(id)
    assert.is_true(#progress > 4)
    assert.same({ "new", 2500 }, { progress[1].phase, progress[1].left })
    local position = 0
    for _, status in ipairs(progress) do
      assert.equal("by_customer", status.name)
      assert.is_true(status.position >= position)
      position = status.position
    end
    assert.same({ "done", 1, true, false }, { answer.result.phase, answer.result.version,
      answer.result.is_deployed, answer.result.is_beside })
    check(V1)
    local number = 2501
    progress, answer = finish(c:send("backfill", { source = V2, chunk = 300 }), function()
      backfilling.fill(store, number, number + 9)
      number = number + 10
    end)
    local phases = {}
    for _, status in ipairs(progress) do phases[status.phase] = true end
    assert.is_true(phases.linking and phases.preparing)
    assert.same({ "done", 2, true }, { answer.result.phase, answer.result.version,
      answer.result.is_beside })
    check(V2)
    c:close()
  end)

  it("is stopped by cancel or by the end of input, goes on, and is given up", function()
    local id = c:send("backfill", { source = V1, chunk = 100, pause_ms = 60000 })
    c:line_with(id, "progress")
    c:line_with(id, "progress")
    assert.is_true(c:ask("cancel", { request = id }))
    local _, answer = finish(id)
    assert.equal("timeout", answer.error)
    assert.matches("the backfill was cancelled", answer.message)
    id = c:send("backfill", { linker = "by_customer", chunk = 100, pause_ms = 60000 })
    c:line_with(id, "progress")
    local rest, status = c:close()
    assert.same({ 0, "timeout" }, { status, rest[id][#rest[id]].error })
    c = connection.open(path)
    _, answer = finish(c:send("backfill", { linker = "by_customer", dry_run = true }))
    assert.equal("planned", answer.result.phase)
    assert.is_true(answer.result.position >= 100)
    _, answer = finish(c:send("backfill", { linker = "by_customer", cancel = true }))
    assert.equal("cancelled", answer.result.phase)
    check()
    _, answer = finish(c:send("backfill", { source = V1 }))
    assert.equal("done", answer.result.phase)
    check(V1)
    c:close()
  end)

  it("waits for another that goes on with it, as long as the request says", function()
    local holder = process.lua("spec/fault/lock_holder.lua",
      { path, "tycho.backfill:linker/by_customer" })
    holder:read()
    local _, answer = finish(c:send("backfill", { source = V1, lock_timeout_ms = 250 }))
    assert.equal("timeout", answer.error)
    assert.matches("process %d+ is back%-filling", answer.message)
    local id = c:send("backfill", { source = V1, lock_timeout_ms = 60000 })
    assert.is_number(c:ask("head"))
    process.clean()
    c = connection.open(path)
    assert.equal("done", select(2, finish(c:send("backfill", { source = V1,
      lock_timeout_ms = 60000 }))).result.phase)
    assert.is_true(id > 0)
    check(V1)
    c:close()
  end)

  it("refuses with the facts", function()
    local bad = [[return linker { name = "bad", version = 1, streams = "*", to = function(event)
      if event.data.number == 7 then error("no such customer") end
    end }]]
    local _, answer = finish(c:send("backfill", { source = bad }))
    assert.same({ "rejected", "linker/bad", 7, "e7" },
      { answer.error, answer.script, answer.position, answer.event_id })
    for _, fields in ipairs { {}, { source = V1, linker = "x" }, { source = V1, chunk = 0 },
      { source = V1, pause_ms = -1 } } do
      _, answer = finish(c:send("backfill", fields))
      assert.equal("invalid_argument", answer.error)
    end
    _, answer = finish(c:send("backfill", { linker = "nobody" }))
    assert.equal("not_found", answer.error)
    _, answer = finish(c:send("backfill", { source = V1, target = "x" }))
    assert.equal("invalid_argument", answer.error)
    c:close()
  end)

  it("is answered at once in a process that has no listener", function()
    local host = rpc.host()
    host:ask("open", { path = path })
    assert.equal("done", host:ask("backfill", { source = V1 }).phase)
    host:ask("close")
    scratch.remove(host.directory)
    check(V1)
    c:close()
  end)
end)
