--- Events that look like those of a shop, and stores that have learnt from some.
local orders = {}

local CITIES = { "Copenhagen", "Prague", "Uraniborg", "Knutstorp" }

--- The n-th event: the same for the same n.
function orders.event(n)
  return {
    id = "order-" .. n, type = "order.placed", tags = { "customer:" .. n % 7 },
    metadata = { user = "u" .. n % 50, request = "web/orders/new" },
    data = {
      order = ("order-%06d"):format(n), status = "placed",
      customer = { number = n * 7919 % 100003, city = CITIES[n % 4 + 1] },
      lines = { { article = "A-" .. n * 31 % 997, quantity = n % 9 + 1,
        price = { amount = n * 131 % 50000, currency = "DKK" } } },
      shipping = { method = "parcel", insured = n % 2 == 0, comment = "leave at the door" },
    },
  }
end

--- Appends the events first to last to the stream "orders".
function orders.fill(store, first, last)
  local events = {}
  for n = first, last do events[#events + 1] = orders.event(n) end
  return store:append("orders", events)
end

--- A store with 200 events that is compressed from there on.
function orders.compress(store)
  orders.fill(store, 1, 200)
  local percent = store:compress()
  assert(percent > 0 and percent <= 50, percent)
end

--- Fails unless an event that was read is the n-th.
function orders.check(event, n)
  local wanted = orders.event(n)
  for _, name in ipairs { "id", "type", "tags", "metadata", "data" } do
    require("luassert").same(wanted[name], event[name])
  end
end

return orders
