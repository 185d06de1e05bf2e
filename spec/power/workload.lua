--- Writes all kinds of batches to a store, from a seed, and says what was acknowledged: the
--- workload that recorder.c records.
---
---   lua5.4 workload.lua STORE BATCHES SEED SYNC NAME [FILE]
---
--- With a FILE it opens the store, says so in FILE.open, and begins when there is that file.
---
--- Each event carries its own id in its data, and before its end the workload reads all events that
--- it wrote and compares. Several may run at once, with different names; each then writes to
--- streams of its own and to some that all share.

local random = require "support.random"
local tycho = require "tycho"

local path, batches, seed, sync, name, file = table.unpack(arg)
batches = math.tointeger(tonumber(batches))
local chance = random.new(math.tointeger(tonumber(seed)))
local store <close> = tycho.open(path, { sync = sync, reserve_size = 1 })

local SYNC_EVERY = 20 -- batches, where commits are not flushed

local written = {} -- what the data of the events must be, by id
local ids = {}
local count = 0

--- Tells the recorder.
local function mark(format, ...) os.remove("power-mark:" .. format:format(...)) end

local function acknowledged(receipt)
  if receipt then mark("acknowledged %d", receipt.sequence) end
end

local function stream_name(number) return ("%s-stream-%d"):format(name, number) end

local function new_event(text_size)
  count = count + 1
  local id = ("%s-%d"):format(name, count)
  local data = { id = id, text = ("x"):rep(text_size or chance:between(0, 300)) }
  written[id] = data
  ids[#ids + 1] = id
  return { id = id, type = "power-" .. count % 7, data = data, tags = { "tag-" .. count % 11 } }
end

local function new_events(size)
  local list = {}
  for index = 1, size do list[index] = new_event(chance:between(0, 60)) end
  return list
end

local function some_id() return ids[chance:between(math.max(1, #ids - 200), #ids)] end

-- ------------------------------------------------------------------ kinds of batches

local kinds = {}

function kinds.single() return store:append(stream_name(chance:between(1, 9)), new_event()) end

function kinds.shared() return store:append("shared", new_event()) end

function kinds.logged() return store:append(nil, new_event()) end

function kinds.several()
  return store:batch(function(batch)
    for index = 1, chance:between(2, 6) do
      batch:append(stream_name(index), new_events(chance:between(1, 5)))
    end
    batch:put_row("power", name, count)
    batch:set_checkpoint(name, count)
  end)
end

function kinds.large()
  local size = batches >= 50 and 1000 or 100
  return store:append(stream_name(chance:between(1, 3)), new_events(size))
end

--- An event that takes pages of its own.
function kinds.long()
  return store:append(stream_name(4), new_event(chance:between(3000, 60000)))
end

function kinds.links()
  local chosen = {}
  for index = 1, chance:between(1, 20) do chosen[index] = some_id() end
  return store:link(name .. "-links", chosen, { on_duplicate = "skip" })
end

function kinds.unlink()
  local entry = store:read():stream(name .. "-links"):raw():first()
  return entry and store:unlink(name .. "-links", entry.id)
end

function kinds.rows()
  return store:batch(function(batch)
    for _ = 1, chance:between(1, 30) do
      local key = ("%s-%d"):format(name, chance:between(1, 60))
      if chance:chance(25) then
        batch:delete_row("power", key)
      else
        batch:put_row("power", key, { count, ("y"):rep(chance:between(0, 200)) })
      end
    end
  end)
end

function kinds.checkpoint()
  return store:set_checkpoint(name .. "-seen", chance:between(1, 1000))
end

function kinds.metadata()
  return store:set_stream_metadata(stream_name(chance:between(1, 9)), { count = count })
end

function kinds.delete() return store:delete_stream(stream_name(chance:between(5, 9))) end

function kinds.truncate()
  local stream = stream_name(chance:between(1, 9))
  local last = store:stream_version(stream)
  return last > 0 and store:truncate(stream, chance:between(1, last)) or nil
end

function kinds.overwrite()
  local id = some_id()
  local event = store:event(id)
  local data = { id = id, text = "redacted" }
  local receipt = store:overwrite({ id = id, type = event.type, data = data })
  written[id] = data
  return receipt
end

function kinds.lock()
  return store:with_lock("power", function(lock)
    mark("token %d", lock:token())
    return store:batch(function(batch)
      batch:expect_lock("power", lock:token())
      batch:append("locked", new_event())
    end)
  end)
end

--- Many batches: a stream gets another name, an old one is a route then.
function kinds.rename()
  local source = ("%s-old-%d"):format(name, count)
  acknowledged(store:append(source, new_events(chance:between(1, 60))))
  store:rename({ source = source, target = source .. "-new", chunk = 20, pause = 0 })
  mark("acknowledged %d", store:stats().sequence)
end

-- ------------------------------------------------------------------ scripts

local function linker(version)
  return ([[return linker { name = "by_type", version = %d,
    streams = "type-*", to = function(event) return "type-%d-" .. event.type end }]]):format(
    version, version)
end

local deployed = 0

--- Many batches: what is there is linked, and then deployed.
function kinds.backfill()
  deployed = deployed + 1
  if deployed == 1 then
    store:backfill({ source = linker(1), chunk = 500, pause = 0 })
  else
    store:deploy({ sources = linker(deployed) })
  end
  mark("acknowledged %d", store:stats().sequence)
end

-- ------------------------------------------------------------------ the run

--- How often each comes, in a hundred or so.
local WEIGHTS = {
  single = 30, shared = 10, logged = 4, several = 12, long = 4, links = 10, unlink = 3, rows = 8,
  checkpoint = 4, metadata = 3, delete = 3, truncate = 4, overwrite = 4, lock = 4, rename = 1,
}

--- What comes once, at about this part of all batches; late what makes the store large, as each
--- disk that is looked at is read as a whole.
local FIXED = { { "rename", 0.5 }, { "large", 0.85 }, { "large", 0.92 }, { "backfill", 0.95 },
  { "backfill", 0.98 } }

--- The kind of each batch that is not left to chance, by its number.
local function fixed_kinds()
  local fixed = {}
  for _, each in ipairs(FIXED) do
    local number = math.ceil(each[2] * batches)
    while fixed[number] do number = number - 1 end
    if number > 1 and (each[1] ~= "backfill" or name == "w1") then fixed[number] = each[1] end
  end
  return fixed
end

local fixed = fixed_kinds()
fixed[1] = "single" -- others need one
local function is_there(place)
  local handle <close> = io.open(place)
  return handle ~= nil
end

mark("opened")
if file then
  store:append("kept", new_event())
  assert(io.open(file .. ".open", "w")):close()
  while not is_there(file) do os.execute("sleep 0.02") end
end
-- What somebody saw must stay, also what a process left that was killed in its last flush.
if sync == "full" then mark("synced %d", store:stats().sequence) end
for number = 1, batches do
  acknowledged(kinds[fixed[number] or chance:weighted(WEIGHTS)]())
  if sync ~= "full" and number % SYNC_EVERY == 0 then
    local sequence = store:stats().sequence
    store:sync()
    mark("synced %d", sequence)
  end
end

for id, data in pairs(written) do
  local event = assert(store:event(id), id)
  assert(event.data.id == data.id and event.data.text == data.text, id)
end
assert(#store:verify().findings == 0)
