--- A process that has the store open while another makes it a compressed one: says "open", appends
--- the events 401 to 450 once there is a dictionary, and checks all events of the log.
---
---   lua5.4 compress_writer.lua STORE

local orders = require "support.orders"
local tycho = require "tycho"

local function check_log(store, last)
  for event in store:read():each() do
    orders.check(event, event.position)
    last = event.position
  end
  return last
end

local store <close> = tycho.open(arg[1], { mode = "existing", sync = "none" })
check_log(store, 0)
io.stdout:write("open\n")
io.stdout:flush()
local head = store:head()
for _ = 1, 600 do
  if head >= 400 then break end
  head = store:wait(head, 0.1) or head
end
assert(store:stats().dictionary == 1)
orders.fill(store, head + 1, head + 50)
assert(check_log(store, 0) == head + 50)
