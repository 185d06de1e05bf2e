--- What must hold for the store of a soak while no worker writes to it. As a program, it says what
--- does not, a line each, and how many rounds of the writers are there:
---
---   lua5.4 checks.lua STORE WORK

local checker = require "fault.checker"
local backfilling = require "support.backfilling"
local tycho = require "tycho"

local checks = {
  WRITERS = { "w1", "w2", "w3", "w4" },
  KEYS = 5, -- instances of the model "Count"
  LINKER = "by_customer.lua", -- in WORK, what is back-filled last
}

--- What a publisher of fault/publisher.lua was told last.
local function acknowledged(work, name)
  local last = 0
  local file <close> = io.open(work .. "/" .. name .. ".ack")
  for line in file and file:lines() or function() end do
    if #line == 15 then last = math.tointeger(tonumber(line)) end
  end
  return last
end

--- The stream has, in the order of the log, all that the publishers were told is there, and of each
--- one event more at most, on which it was killed. Gives how many there are.
function checks.published(store, work, stream, names)
  local counts, position, total = {}, 0, 0
  for event in store:read():stream(stream):raw():each() do
    local name, number = event.id:match("^(.*)%-(%d+)$")
    assert((counts[name] or 0) + 1 == math.tointeger(tonumber(number)), event.id .. " is next")
    assert(event.position > position, event.id .. " is out of order")
    counts[name], position, total = (counts[name] or 0) + 1, event.position, total + 1
  end
  for _, name in ipairs(names) do
    local there, told = counts[name] or 0, acknowledged(work, name)
    assert(there == told or there == told + 1,
      ("%s: of %s %d events are there, %d were acknowledged"):format(stream, name, there, told))
  end
  return total
end

--- The version of the event type "A" that is deployed; 0: none.
function checks.version(store)
  local script = store:script("event_type", "A")
  if not script then return 0 end
  script:close()
  return script.version
end

--- Each event of fault/deployer.lua was tagged, and every event linked by "by", as what was
--- deployed last before its position says.
function checks.deployed(store)
  local type_version, linker_version, linked = 0, 0, {}
  for event in store:read():stored():each() do
    if event.stream == "$scripts" then
      local name = event.data.kind .. "/" .. event.data.name
      if name == "event_type/A" then type_version = event.data.version end
      if name == "linker/by" then linker_version = event.data.version end
    else
      linked[linker_version] = (linked[linker_version] or 0) + 1
      if event.type == "A" and type_version > 0 then
        assert(event.data.v == type_version and event.tags[1] == "v" .. type_version,
          ("position %d was checked by another version than %d"):format(event.position,
          type_version))
      end
    end
  end
  for version = 1, linker_version do
    local there = store:read():stored():stream("by-" .. version):count()
    assert(there == (linked[version] or 0), ("version %d of a linker linked %d of %d events")
      :format(version, there, linked[version] or 0))
  end
  return type_version + linker_version
end

local PREFIXES = { "^customer%-", "^paid$", "^seventh$" }

--- The streams of the linker that is back-filled, with what is in them.
local function linked_streams(store)
  local streams = {}
  for name in store:streams() do
    for _, prefix in ipairs(PREFIXES) do
      if name:find(prefix) then
        streams[name] = table.concat(store:read():stream(name):raw():map(function(event)
          return event.revision .. " " .. event.id
        end), "\n")
      end
    end
  end
  return streams
end

--- The streams of a linker are those of a store that had it from the first event on.
function checks.backfilled(store, source)
  local fresh <close> = tycho.temporary { sync = "none" }
  fresh:deploy { sources = source }
  for event in store:read():stored():of_type(table.unpack(backfilling.TYPES)):each() do
    fresh:append(event.stream, { id = event.id, type = event.type, data = event.data,
      time = event.time })
  end
  local expected, found = linked_streams(fresh), linked_streams(store)
  for name in pairs(found) do expected[name] = expected[name] or "" end
  for name, entries in pairs(expected) do
    assert((found[name] or "") == entries, "a back-filled linker made " .. name .. " otherwise")
  end
end

--- Each instance of the model "Count" of fault/model_worker.lua is the fold of its events.
function checks.counted(store, keys)
  local model <close> = store:model("Count")
  for key = 1, keys do
    local state, answer = model:get(key)
    local there = store:read():tagged("of:" .. key):to_position(answer.position + 1):count()
    local fresh = model:get(key, { fresh = true })
    assert(state.count == there and fresh.count == there, ("key %d: %d counted, %d there"):format(
      key, state.count, there))
  end
end

--- All of them: a sentence for each that does not hold, and how many rounds there are.
function checks.all(path, work)
  local store <close> = tycho.open(path, { mode = "existing", sync = "none" })
  local wrong = {}
  local function try(check, ...)
    local ok, result = pcall(check, ...)
    if not ok then wrong[#wrong + 1] = tostring(result):gsub("\n", "; ") end
    return ok and result
  end
  local rounds = try(checker.check, store, work, checks.WRITERS)
  try(checks.deployed, store)
  try(checks.counted, store, checks.KEYS)
  local linker <close> = io.open(work .. "/" .. checks.LINKER)
  if linker then
    local source = linker:read("a")
    try(store.backfill, store, { source = source, pause = 0 })
    try(checks.backfilled, store, source)
  end
  return wrong, rounds or 0
end

if arg and arg[0]:find("checks%.lua$") then
  local wrong, rounds = checks.all(arg[1], arg[2])
  for _, what in ipairs(wrong) do print(what) end
  print("rounds " .. rounds)
end

return checks
