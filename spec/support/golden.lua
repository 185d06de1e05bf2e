--- The store whose file is kept as spec/fault/format_1.mdb.gz: what is written into it, and all
--- that can be read out of it. Ids and times are given, so each filling says the same.
---
--- To make the file of a new format (never change the one of a format that was released):
---   LUA_PATH='spec/?.lua;scripts/?.lua;scripts/?/init.lua;;' LUA_CPATH='build/lua/?.so;;' \
---     lua5.4 -e 'require("support.golden").make("spec/fault/format_N.mdb.gz")'

local golden = {}

local FIRST_TIME = 1000000000000000 -- 2001-09-09T01:46:40Z

local function event(number, fields)
  local made = {
    id = ("%08x-0000-7000-8000-%012x"):format(number, number),
    type = number % 3 == 0 and "order.paid" or "order.placed",
    time = FIRST_TIME + number,
    data = { number = number },
    tags = { "order:" .. number % 7 },
  }
  for name, value in pairs(fields or {}) do made[name] = value end
  return made
end

local function append_many(batch, stream, first, last)
  local events = {}
  for number = first, last do events[#events + 1] = event(number) end
  batch:append(stream, events)
end

--- What lies in tables in the end: blocks, tails, holes, cut streams, links up and down in the log.
local function fill_settled(store)
  store:batch(function(batch)
    append_many(batch, "orders", 1, 150)
    append_many(batch, "short", 151, 155)
    append_many(batch, "cut", 156, 165)
    append_many(batch, "deleted", 166, 167)
  end)
  store:append(nil, event(168, { id = "not a UUID", tags = {} }))
  store:append("ünicode", event(169, { type = "größe", valid_time = -1, content_type = "text/plain",
    data = "any bytes \0\255", metadata = { by = "golden" }, correlation_id = "c",
    causation_id = event(1).id, tags = { "b", "a", "b" } }))
  store:link("links", { event(9).id, event(3).id, "not a UUID", event(160).id })
  store:batch(function(batch) batch:link_range("orders", 100, 149, "range") end)
  store:batch(function(batch)
    batch:overwrite({ id = event(5).id, type = "order.changed", data = { changed = true } })
    batch:set_stream_metadata("short", { kept = "for ever" })
    batch:set_route("first", "second"):set_route("second", "orders")
    batch:put_row("table", "key", { value = 1 }):put_row("table", "", "empty key")
    batch:put_row("other", "key", 2)
    batch:set_checkpoint("model", 17)
  end)
  store:delete_stream("deleted")
  store:truncate("cut", 6)
  store:unlink("links", event(3).id)
  store:unlink("orders", event(2).id)
end

--- What is in the log and in `pending` alone.
local function fill_recent(store)
  store:append("orders", event(170, { metadata = { late = true } }))
  store:append("deleted", event(171))
  store:link("links", { event(171).id, event(4).id })
  store:batch(function(batch) batch:delete_row("other", "key"):set_checkpoint("model", 170) end)
end

function golden.fill(store)
  fill_settled(store)
  fill_recent(store)
end

local function pairs_of(...)
  local list = {}
  for name, first, second in ... do list[#list + 1] = { name, first or false, second or false } end
  return list
end

local function events_of(specification)
  local list = {}
  for each in specification:each() do list[#list + 1] = each:to_table() end
  return list
end

--- Everything that the store says.
function golden.dump(store)
  local dump = {
    log = events_of(store:read()),
    streams = pairs_of(store:streams()),
    types = pairs_of(store:types()),
    tags = pairs_of(store:tags()),
    routes = pairs_of(store:routes()),
    checkpoints = pairs_of(store:checkpoints()),
    rows = { pairs_of(store:rows("table")), pairs_of(store:rows("other")) },
    entries = {}, links = {}, metadata = {}, tagged = {}, counts = {},
  }
  for name in store:streams() do
    dump.entries[name] = events_of(store:read():stream(name))
    dump.metadata[name] = store:stream_metadata(name)
  end
  for name in store:tags() do dump.tagged[name] = events_of(store:read():tagged(name)) end
  for _, each in ipairs(dump.log) do dump.links[each.id] = store:streams_of(each.id) end
  local stats = store:stats()
  for _, name in ipairs { "format", "events", "sequence", "streams", "types", "tags", "links",
    "entries", "rows", "routes" } do
    dump.counts[name] = stats[name]
  end
  return dump
end

--- Writes the file of the present format to `target`.
function golden.make(target)
  local scratch = require "support.scratch"
  local path, directory = scratch.path()
  local store = require("tycho").open(path)
  golden.fill(store)
  store:backup(path .. "-compact")
  store:close()
  assert(os.execute(("gzip -9n <%s-compact/data.mdb >%s"):format(path, target)))
  scratch.remove(directory)
end

return golden
