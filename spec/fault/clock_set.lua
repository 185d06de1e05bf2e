--- What happens in one process while its clock jumps: clock_set.lua CHECK STORE WORK
---
--- Run with SOAK_CLOCK=WORK/clock and soak/clock.so preloaded. It sets the clock itself, and ends
--- well when all is as it must be.

local tycho = require "tycho"

local name, path, work = table.unpack(arg)
local HOUR = 3600 * 1000000

local function set_clock(offset)
  local file <close> = assert(io.open(work .. "/clock", "r+b"))
  file:write(string.pack("<i8", offset))
end

--- Runs a request of the host protocol as the dispatcher does; each call of `progress` and of
--- `is_cancelled` sets the clock back by another hour.
local function run_op(request)
  local offset = 0
  local function jump()
    offset = offset - HOUR
    set_clock(offset)
  end
  return require("tycho.host_ops").run {
    op = request.op, request = tycho.json.encode(request), path = path, mode = "existing",
    sync = "none", progress = jump,
    is_cancelled = function()
      jump()
      return false
    end,
  }
end

local checks = {}

--- Times are what the clock says; positions, ids and versions do not care.
function checks.events()
  local store <close> = tycho.open(path, { sync = "none" })
  local ids, times = {}, {}
  for number, offset in ipairs { 0, 24 * HOUR, -24 * HOUR, 0, -365 * 24 * HOUR, 1 } do
    set_clock(offset)
    store:append("s", { type = "t" }, { expected_version = number - 2 })
  end
  for event in store:read():each() do
    ids[#ids + 1], times[#times + 1] = event.id, event.time
    assert(event.position == #ids)
    assert(#ids == 1 or ids[#ids] > ids[#ids - 1], "an id is below the one before it")
  end
  assert(times[2] > times[1] + 23 * HOUR and times[3] < times[1] - 23 * HOUR, "no jump was seen")
  local by_time = store:read():as_at():map(function(event) return event.position end)
  assert(table.concat(by_time, " ") == "5 3 1 4 6 2", table.concat(by_time, " "))
  assert(#store:verify().findings == 0)
end

--- A wait lasts as long as it was asked to.
function checks.waits()
  local store <close> = tycho.open(path, { sync = "none" })
  store:append("s", { type = "t" })
  local follower <close> = store:follow()
  assert(follower:next(0))
  for _, offset in ipairs { 24 * HOUR, -24 * HOUR } do
    set_clock(offset)
    assert(store:wait(store:head(), 0.05) == nil)
    assert(follower:next(0.05) == nil)
  end
end

--- A lock that another process has: the time-out comes, and the sentence is no nonsense.
function checks.lock()
  local store <close> = tycho.open(path, { mode = "existing", sync = "none" })
  while not store:locks()[1] do store:wait(math.maxinteger, 0.01) end
  for _, offset in ipairs { 24 * HOUR, -24 * HOUR } do
    set_clock(offset)
    local ok, err = pcall(store.lock, store, "held", { timeout = 0.05 })
    assert(not ok and err.code == "timeout", tostring(err))
    local held = tonumber(tostring(err):match("has held for ([%-%d.]+) s"))
    assert(held and held >= 0, tostring(err))
  end
end

function checks.rename()
  local store <close> = tycho.open(path, { sync = "none" })
  for number = 1, 40 do store:append("a", { type = "t", id = "e" .. number }) end
  local done, code, message = run_op { id = 1, op = "rename", source = "a", target = "b",
    chunk = 10, pause_ms = 20 }
  assert(done, ("%s: %s"):format(code, message))
  assert(store:route("a") == "b" and store:stream_version("b") == 39)
end

--- The lock of the rename is held by another process.
function checks.rename_waits()
  local store <close> = tycho.open(path, { mode = "existing", sync = "none" })
  store:append("a", { type = "t" })
  while not store:locks()[1] do store:wait(math.maxinteger, 0.01) end
  local done, code = run_op { id = 1, op = "rename", source = "a", target = "b",
    lock_timeout_ms = 300 }
  assert(done == nil and code == "timeout", tostring(code))
end

checks[name]()
