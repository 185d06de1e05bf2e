--- Orders: write events, link them, read them, fold them.
---
---   lua5.4 orders.lua
---
--- It makes the store orders.tycho in the directory where it is run. Run once more there, it ends
--- with wrong_expected_version: the orders are there already.

local tycho = require "tycho"

local store <close> = tycho.open("orders.tycho")

store:subscribe(function(event) -- runs in publish, after the commit
  store:link("city-" .. event.data.city, event.id)
end, "OrderPlaced")

for number, order in ipairs { { "Brno", 120 }, { "Graz", 75 }, { "Brno", 300 } } do
  store:publish("order-" .. number, {
    { type = "OrderPlaced", data = { city = order[1], total = order[2] } },
    { type = "OrderPaid", data = { amount = order[2] } },
  }, { expected_version = "none" })
end

local placed, err = pcall(store.append, store, "order-1", { type = "OrderPlaced" },
  { expected_version = "none" })
print(placed, err.code, err.actual)

for event in store:read():stream("city-Brno"):backward():each() do
  print(event.position, event.stream, event:field("total"))
end

local paid = store:read():of_type("OrderPaid"):reduce(function(sum, event)
  return sum + event.data.amount
end, 0)
print("paid", paid)
