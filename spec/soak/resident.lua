--- A process of the soak that is never killed, so that what grows in it can be seen.
---
---   lua5.4 resident.lua STORE WORK NAME follow     follows the log: every position once, in order
---   lua5.4 resident.lua STORE WORK NAME read       reads, lists, looks up, takes locks, and opens
---                                                  the store anew now and then
---   lua5.4 resident.lua STORE WORK NAME copy       backs the store up, and verifies the copy
---
--- It ends when the checkpoint "stop" is set. What it did so far is in WORK/NAME.did, lines
--- "COUNT what", written whole every second. It ends with an error when something is not as it must
--- be, and rests between two rounds of work.

local random = require "support.random"
local scratch = require "support.scratch"
local tycho = require "tycho"

local path, work, name, role = table.unpack(arg)
local chance = random.new(tycho.hash(name))
local store = tycho.open(path, { mode = "existing", sync = "none" })
local did, written = {}, 0

local function count(what, number) did[what] = (did[what] or 0) + (number or 1) end

--- Moves with the clock that jumps, so it may be late, or early.
local function write_ledger()
  local now = os.time()
  if now == written then return end
  written = now
  local file = assert(io.open(("%s/%s.new"):format(work, name), "w"))
  for what, number in pairs(did) do file:write(number, " ", what, "\n") end
  file:close()
  assert(os.rename(("%s/%s.new"):format(work, name), ("%s/%s.did"):format(work, name)))
end

local roles = {}

function roles.follow()
  local follower = store:follow()
  local position = 0
  return function()
    local event = follower:next(0.2)
    while event do
      assert(event.position == position + 1, ("position %d was served behind %d"):format(
        event.position, position))
      position = event.position
      count("events followed")
      if position % 1000 == 0 then return end
      event = follower:next(0)
    end
  end
end

--- Reads of one instant that must agree with each other, and with the position of each event.
local function read_instant(snapshot)
  local read = snapshot:read()
  local last
  for event in read:backward():limit(chance:between(1, 200)):each() do
    assert(not last or event.position == last - 1, "a gap in the log")
    last = event.position
    count("events read")
  end
  local shared, links = read:stream("shared"):count(), read:stream("links"):count()
  assert(shared == links, ("%d rounds are in shared, %d in links"):format(shared, links))
  local one = last and read:from_position(chance:between(0, last - 1)):first()
  if one then
    assert(store:position(one.id) == one.position, one.id)
    assert(#store:streams_of(one.id) > 0, one.id)
    count("events looked up")
  end
end

local function list()
  for _ in store:types() do count("names listed") end
  for _ in store:streams { limit = 50 } do count("names listed") end
  for _ in store:routes { limit = 50 } do count("names listed") end
  local stats = store:stats()
  assert(stats.events <= store:head())
  count("stats")
end

function roles.read()
  local token = 0
  return function()
    do
      local snapshot <close> = store:snapshot()
      read_instant(snapshot)
    end
    list()
    store:with_lock("resident", function(lock)
      assert(lock:token() > token, "a token came twice")
      token = lock:token()
      store:batch(function(batch)
        batch:expect_lock("resident", token):put_row("resident", name, token)
      end)
      count("batches under a lock")
    end)
    if chance:chance(5) then
      store:close()
      store = tycho.open(path, { mode = "existing", sync = "none" })
      count("reopens")
    end
    store:wait(math.maxinteger, 0.02)
  end
end

function roles.copy()
  local number = 0
  return function()
    number = number + 1
    local copy_path = ("%s/%s-copy-%d"):format(work, name, number)
    local head = store:head()
    store:backup(copy_path)
    do
      local copy <close> = tycho.open(copy_path, { mode = "existing" })
      assert(copy:head() >= head, "a backup has less than there was")
      local verification = copy:verify()
      assert(#verification.findings == 0, verification.findings[1])
      count("events verified in backups", verification.events)
    end
    scratch.remove(copy_path)
    count("backups verified")
    store:wait(math.maxinteger, 1)
  end
end

io.stdout:write("resident\n")
io.stdout:flush()
local step = roles[role]()
while store:checkpoint("stop") == 0 do
  step()
  write_ledger()
end
written = 0
write_ledger()
store:close()
