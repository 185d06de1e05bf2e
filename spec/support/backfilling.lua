--- What specs of back-filling share: linkers, and the comparison with a store that had them from
--- the start.
local plain = require "support.plain"
local tycho = require "tycho"

local backfilling = {}

--- Sources of linkers called "by_customer": version 2 gives less to some streams, more to others,
--- and names new ones.
backfilling.VERSION_1 = [[
return linker {
  name = "by_customer", version = 1, from = { types = { "OrderPlaced", "OrderPaid" } },
  streams = { "customer-*", "paid" }, to = function(event)
    assert(event.position == nil)
    if event.type == "OrderPlaced" then return "customer-" .. event.data.customer end
    return { "customer-" .. event.data.customer, "paid" }
  end,
}]]
backfilling.VERSION_2 = [[
return linker {
  name = "by_customer", version = 2, from = { types = { "OrderPlaced", "OrderSent" } },
  streams = { "customer-*", "seventh" }, to = function(event)
    if event.data.number % 7 == 0 then return { "customer-" .. event.data.customer, "seventh" } end
    return "customer-" .. event.data.customer
  end,
}]]

backfilling.TYPES = { "OrderPlaced", "OrderPaid", "OrderSent" }

--- The event with a number: its type and customer are made of it.
function backfilling.event(number, id)
  return {
    id = id or ("e%d"):format(number), type = backfilling.TYPES[number * 7919 % 5 % 3 + 1],
    data = { customer = number * 104729 % 11, number = number },
  }
end

--- Appends events with the numbers, in batches.
function backfilling.fill(store, first, last)
  local events = {}
  for number = first, last do
    events[#events + 1] = backfilling.event(number)
    if #events == 100 or number == last then
      store:append(("orders-%d"):format(number % 3), events)
      events = {}
    end
  end
end

--- All streams but the history of scripts, with the ids and revisions of their entries.
function backfilling.streams(store)
  local streams = {}
  for name in store:streams() do
    if name ~= "$scripts" then
      local entries = {}
      for event in store:read():stream(name):raw():each() do
        entries[#entries + 1] = event.id .. "@" .. event.revision
      end
      if #entries > 0 then streams[name] = entries end
    end
  end
  return streams
end

--- The same of a fresh store that had the linkers before the first event.
function backfilling.expected(store, ...)
  local fresh <close> = tycho.temporary { sync = "none" }
  for _, source in ipairs { ... } do fresh:deploy { sources = source } end
  for event in store:read():stored():each() do
    if event.stream ~= "$scripts" then
      fresh:append(event.stream, { id = event.id, type = event.type, data = event.data,
        time = event.time })
    end
  end
  return backfilling.streams(fresh)
end

--- Raises unless the store is sound, and nothing is left of a back-fill.
function backfilling.check_clean(store)
  local verification = store:verify()
  assert(#verification.findings == 0, verification.findings[1])
  for name in store:streams() do assert(not name:find("^%$backfill"), name) end
  for _, row in ipairs { "tycho.backfills" } do
    for key in store:rows(row) do error("a row is left: " .. key) end
  end
end

backfilling.ids = function(store, stream) return plain.each(store:read():stream(stream):all()) end

--- The streams are those that these linkers give, and the store is clean. For specs only: not all
--- that uses this module has busted.
function backfilling.check(store, ...)
  require("luassert").same(backfilling.expected(store, ...), backfilling.streams(store))
  backfilling.check_clean(store)
end

--- Begins a back-fill, and breaks it off after so many steps.
function backfilling.break_off(store, options, steps)
  local count = 0
  options.progress = function()
    count = count + 1
    if count > steps then error("stopped here", 0) end
  end
  local ok, err = pcall(store.backfill, store, options)
  assert(not ok and err == "stopped here", tostring(err))
end

return backfilling
