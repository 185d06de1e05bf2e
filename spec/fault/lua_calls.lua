--- What Lua asks of a store, verb by verb, while the calls of each fail one after the other. Run by
--- lua_calls_test.c, which says how.
local arm, disarm, faults, is_full = ...

package.path = "scripts/?.lua;scripts/?/init.lua;spec/?.lua"
local tycho = require "tycho"
local core = require "tycho.core"

local SAMPLES = 30 -- calls of one kind of a verb that fail, unless all do
local LIVES = 3 -- of each kind, likewise; all would take minutes
local ALL_LIVES = 100
local LIVED = {
  ["mdb_cursor_get: MDB_CORRUPTED"] = true, ["mdb_cursor_open: ENOMEM"] = true,
  ["mdb_txn_renew: MDB_MAP_RESIZED"] = true, ["mdb_cursor_put: ENOMEM"] = true,
  ["a page that is read without LMDB"] = true, ["malloc"] = true,
}
local MODEL = [[return read_model { name = "Sums", version = 1, types = { "T1" },
  keys = function(event) return event.data.n end,
  history = function(key) return { { tags = "n:" .. key } } end,
  init = function() return { sum = 0 } end,
  on = { T1 = function(state, event) state.sum = state.sum + event.data.n end } }]]
local TYPE = [[return event_type { name = "T2", version = 2,
  upcast = { function(data) return data end },
  tags = function(data) return "n:" .. data.n end }]]
local LINKER = [[return linker { name = "by_n", version = 1, from = { types = { "T3" } },
  streams = "n-*", to = function(event) return "n-" .. event.data.n end }]]
local MORE = [[return linker { name = "more", version = 1, from = { types = { "T1" } },
  streams = "more", to = function() return "more" end }]]

local store <close> = tycho.temporary { sync = "none" }

local events = {}
for number = 1, 120 do
  events[number] = { id = "e" .. number, type = "T" .. number % 4, tags = { "n:" .. number % 6 },
    data = { n = number % 6, text = ("some words, %d "):format(number):rep(20) } }
end
store:append("a", events)
store:compress { sample = 120 }
store:deploy { sources = { MODEL, TYPE, LINKER } }
store:append("b", { { id = "new", type = "T3", data = { n = 7, text = ("x "):rep(400) } } })
store:set_route("way", "a")
store:batch(function(batch)
  batch:set_stream_metadata("a", { color = "red" })
  batch:put_row("rows", "key", { value = 1 })
  batch:set_checkpoint("mark", 3)
end)

local function count(...)
  local found = 0
  for _ in ... do found = found + 1 end
  return found
end

--- Fields of events that have not been looked at, with and without a cursor.
local function look(event)
  return event.stream, #event.tags, event.data.n, event.id
end

local kept = store:read():with_id("e5"):first()
local script <close> = store:script("event_type", "T2")
local model <close> = store:model("Sums")
model:prepare { 1, 3 }
local snapshot <close> = store:snapshot()
local wide <close> = store:batch()
wide:append("x", { id = "wide", type = "W", data = ("x"):rep(300000) })
local encoded = wide:encode()

--- Each gives what it gives when nothing fails. Those that write write the same again.
local verbs = {
  { "open", function()
    local again <close> = tycho.open(store:path())
    return again:path() == store:path()
  end },
  { "head", function() return store:head() end },
  { "position", function() return store:position("e7") end },
  { "revision", function() return store:revision("e7", "a") end },
  { "stream_version", function() return store:stream_version("way") end },
  { "stream_metadata", function() return store:stream_metadata("way").color end },
  { "route", function() return store:route("way") end },
  { "row", function() return store:row("rows", "key").value end },
  { "checkpoint", function() return store:checkpoint("mark") end },
  { "stats", function() return store:stats().events end },
  { "sync", function() return store:sync() end },
  { "wait", function() return store:wait(0, 0) end },
  { "compress", function() return store:compress { sample = 120 } > 0 end, is_slow = true },
  { "streams", function() return count(store:streams()) end },
  { "types", function() return count(store:types()) end },
  { "tags", function() return count(store:tags()) end },
  { "routes", function() return count(store:routes()) end },
  { "checkpoints", function() return count(store:checkpoints()) end },
  { "rows", function() return count(store:rows("rows")) end },
  { "streams_of", function() return #store:streams_of("new") end },
  { "locks", function() return #store:locks() end },
  { "count", function() return store:read():tagged("n:1"):count() end },
  { "all", function() return look(store:read():of_type("T1"):all()[3]) end },
  { "each", function()
    local sum = 0
    for event in store:read():stream("way"):each() do
      sum = sum + event.data.n + #event.tags + #event.stream
    end
    return sum
  end },
  { "page", function()
    local page, key = store:read():page(3)
    return #page, key ~= nil
  end },
  { "event", function() return look(store:event("new")) end },
  { "an event that is kept", function()
    local one = store:read():with_id("e5"):first()
    return one == kept, look(one)
  end },
  { "an event behind its cursor", function()
    local one, next_one
    for event in store:read():each() do
      if not one then one = event else next_one = event break end
    end
    return one.stream, next_one.stream, #one.tags, next_one:field("n")
  end },
  { "snapshot", function()
    local own <close> = store:snapshot()
    return own:read():count(), snapshot:read():last().id
  end },
  { "verify", function()
    local finding = store:verify().findings[1]
    if finding then error(core.refusal { code = "corrupt", message = finding }) end
  end },
  { "follow", function()
    local follower <close> = store:follow { types = { "T1" } }
    local event = follower:next(0)
    return event.id, event.stream, follower:key(), follower:descriptor() > 0
  end },
  { "lock", function()
    local lock <close> = store:lock("lock", { timeout = 5 })
    return lock:token() > 0
  end },
  { "append", function()
    return store:append("c", { id = "same", type = "T1", data = { n = 1 }, tags = { "n:1" } },
      { idempotent = true }).last_position
  end },
  { "a large batch", function()
    local batch <close> = store:batch()
    batch:decode(encoded)
    local bytes = #batch:encode()
    batch:clear()
    batch:put_row("rows", "key", { value = 1 }):commit()
    return bytes
  end },
  { "link", function()
    store:link("linked", { "e1", "e2" }, { on_duplicate = "skip" })
    return store:stream_version("linked")
  end },
  { "model", function()
    local own <close> = store:model("Sums")
    local state, answer = own:get(1, { snapshot_after = 1 })
    return state.sum, answer.events
  end },
  { "model, fresh", function() return model:get(3, { fresh = true }).sum end },
  { "status of a model", function()
    return model:status().instances, model:status(3).is_caught_up
  end },
  { "maintain", function() return model:maintain().failed end },
  { "forget", function()
    model:forget(5)
    return model:prepare({ 5 }).done, model:get(5).sum
  end },
  { "scripts", function() return #store:scripts() end },
  { "script", function()
    local own <close> = store:script("linker", "by_n")
    return own:expand(store:event("new")).links[1]
  end },
  { "an event type", function()
    local one = { id = "x", type = "T2", stream = "a", data = { n = 3 } }
    return script:expand(one).tags[1], script:upcast(one, 1).n, (script:check(one))
  end },
  { "check_history", function()
    local checked = store:check_history(script)
    return checked.events, checked.refused
  end },
  { "script_history", function() return #store:script_history("linker", "by_n") end },
  { "deploy", function()
    return #store:deploy { sources = { MODEL, TYPE, LINKER }, dry_run = true },
      #store:deploy { sources = { LINKER } }
  end },
  { "remove", function() return #store:deploy { remove = { "linker/by_n" }, dry_run = true } end },
  { "backfill", function()
    return store:backfill { source = MORE, dry_run = true } ~= nil
  end },
  { "a store to be made", function()
    local new <close> = core.deployment()
    new:put("m", MODEL, false)
    return #new:plan()
  end },
  { "compile", function()
    local own <close> = tycho.script(LINKER, "l")
    return own.name
  end },
}

--- Whether an error says that this fault was met, or what it spoilt.
local function tells(err, fault)
  if type(err) == "string" then
    return fault.code == "no_memory" and err:find("not enough memory", 1, true) ~= nil
  end
  return err.code == fault.code
    or err.code == "io" and tostring(err):find("met a damaged page", 1, true) ~= nil
    or err.code == "unknown_outcome"
end

local sweep = 0

local function try(verb, index, number, wanted)
  local fault = faults[index]
  local where = ("%s, call %d: %s"):format(fault.name, number, verb[1])
  arm(index, number)
  local ok, answer = pcall(function()
    local answers = table.pack(verb[2]())
    for i = 1, answers.n do answers[i] = tostring(answers[i]) end
    return table.concat(answers, " ")
  end)
  local calls, has_failed = disarm()
  if number < 0 then
    assert(ok, where .. ": " .. tostring(answer))
    assert(answer == (wanted or answer), ("%s gives %s, not %s"):format(where, answer, wanted))
    return calls, answer
  end
  if ok then
    assert(answer == wanted, where .. " gives " .. answer .. ", not " .. wanted)
  else
    assert(has_failed, where .. " fails without a reason: " .. tostring(answer))
    assert(tells(answer, fault), where .. " says: " .. tostring(answer))
  end
  return calls, answer
end

local met = 0
for _, verb in ipairs(verbs) do
  try(verb, 1, -1) -- what comes but once
  local _, wanted = try(verb, 1, -1)
  for index, fault in ipairs(faults) do
    if not fault.ends_store and (not verb.is_slow or index == #faults) then
      local calls = try(verb, index, -1, wanted)
      local samples = verb.is_slow and 3 or SAMPLES
      local stride = is_full and 1 or math.max(1, calls // samples)
      sweep = sweep + 1
      for number = sweep * 7 % stride, calls - 1, stride do
        try(verb, index, number, wanted)
        met = met + 1
      end
    end
  end
  try(verb, 1, -1, wanted)
end
assert(met > 1000, "hardly a call failed")

-- ------------------------------------------------------------------ what is done in a life

--- Lives a life in which the call with the number fails: how many there were, and how it is then.
local function live(life, index, number, wanted)
  local fault, name, prepare, act, look_at = faults[index], table.unpack(life)
  local where = ("%s, call %d: %s"):format(fault.name, number, name)
  local own <close> = tycho.temporary { sync = "none" }
  local prepared = prepare(own)
  arm(index, number)
  local ok, err = pcall(act, own, prepared)
  local calls, has_failed = disarm()
  if not ok then
    assert(has_failed, where .. " fails without a reason: " .. tostring(err))
    assert(tells(err, fault), where .. " says: " .. tostring(err))
    ok, err = pcall(act, own, prepared)
    assert(ok, where .. " fails when all is whole: " .. tostring(err))
  end
  local answer = tostring(look_at(own))
  assert(answer == (wanted or answer), ("%s ends with %s, not %s"):format(where, answer, wanted))
  assert(#own:verify().findings == 0, where .. " leaves damage")
  return calls, answer
end

for _, life in ipairs(require "fault.script_lives") do
  local _, wanted = live(life, 1, -1)
  for index, fault in ipairs(faults) do
    if LIVED[fault.name] then
      local calls = live(life, index, -1, wanted)
      local stride = math.max(1, calls // (is_full and ALL_LIVES or LIVES))
      sweep = sweep + 1
      for number = sweep * 7 % stride, calls - 1, stride do live(life, index, number, wanted) end
    end
  end
end
