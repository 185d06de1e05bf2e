--- A short life of a store that uses every verb from Lua while one call of the system fails
--- (failing_calls.c).
---
---   lua5.4 every_verb.lua STORE
---
--- Each step is tried again when it failed, once the system is whole. It prints what each failure
--- was, and at the end "done EVENTS"; whatever is not as it should be ends it with 1.

local tycho = require "tycho"

local path = arg[1]
local store
-- The C library makes what a thread has for itself when it is first used, and ends the process when
-- there is no memory for that: it is made before.
assert(not pcall(tycho.open, "/dev/null/none"))

local CODES = { full = true, io = true, no_memory = true, unknown_outcome = true }

local function open()
  store = tycho.open(path, { sync = "full" })
end

-- Every write has ids and conditions, so that doing it again does it once.
local function append(stream, first, count)
  return function()
    local events = {}
    for number = first, first + count - 1 do
      events[#events + 1] = { id = "event-" .. number, type = "T" .. number % 3,
        data = { number = number, text = ("x"):rep(number % 700) }, tags = { "t" .. number % 5 } }
    end
    store:append(stream, events, { idempotent = true })
  end
end

local function read_all()
  local count = 0
  for event in store:read():each() do
    assert(event.data.number)
    count = count + 1
  end
  assert(count == store:head(), "events are missing")
end

local steps = {
  { "open", function() if not store then open() end end },
  { "append", append("a", 1, 3) },
  { "append many", append("b", 4, 300) },
  { "link", function()
    store:link("linked", { "event-1", "event-5" }, { on_duplicate = "skip" })
  end },
  { "rows", function()
    store:batch(function(batch)
      batch:put_row("table", "key", { value = 1 })
      batch:set_checkpoint("checkpoint", 3)
    end)
  end },
  { "route", function() store:set_route("route", "a") end },
  { "lock", function()
    local lock <close> = store:lock("lock", { timeout = 5 })
    store:batch(function(batch)
      batch:expect_lock("lock", lock:token())
      batch:put_row("table", "locked", { value = 2 })
    end)
  end },
  { "read", read_all },
  { "queries", function()
    assert(store:read():of_type("T1"):count() > 0)
    assert(store:read():stream("route"):count() == 3)
    local snapshot <close> = store:snapshot()
    assert(snapshot:read():tagged("t1"):backward():first().id)
  end },
  { "list", function()
    local count = 0
    for _ in store:streams() do count = count + 1 end
    assert(count == 3, "streams")
    assert(store:row("table", "key").value == 1)
  end },
  { "follow", function()
    local follower <close> = store:follow()
    assert(follower:next(0).id == "event-1")
  end },
  { "open again", function()
    if store then store:close() end
    store = nil
    open()
  end },
  { "backup", function()
    os.execute("rm -rf " .. path .. ".copy")
    store:backup(path .. ".copy")
  end },
  { "salvage", function()
    os.execute("rm -rf " .. path .. ".saved")
    assert(#tycho.salvage(path, path .. ".saved").findings == 0)
  end },
  { "unlink", function()
    if store:revision("event-5", "linked") then store:unlink("linked", "event-5") end
  end },
  { "delete", function() store:delete_stream("b") end },
  { "verify", function() assert(#store:verify().findings == 0, "findings") end },
}

local function describe(err)
  if type(err) == "string" then
    assert(err:find("not enough memory", 1, true), err)
    return "no_memory"
  end
  assert(CODES[err.code], tostring(err))
  return err.code
end

for _, step in ipairs(steps) do
  local name, run = step[1], step[2]
  os.remove("/tycho/count")
  local ok, err = pcall(run)
  local has_failed = os.remove("/tycho/rest")
  if not ok then
    assert(has_failed, name .. " fails without a reason: " .. tostring(err))
    print(("failed %s: %s"):format(name, describe(err)))
    ok, err = pcall(run)
    if not ok then
      assert(tostring(err):find("open it again", 1, true), name .. ": " .. tostring(err))
      store:close()
      open()
      run()
    end
  end
end

read_all()
print("done " .. store:head())
store:close()
