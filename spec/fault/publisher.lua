--- A process that publishes until it is killed, and says in a file what was acknowledged: lines of
--- 16 bytes, each one write(2).
---
---   lua5.4 publisher.lua STORE WORK NAME STREAM [REST]     to a stream or route of the store
---   lua5.4 publisher.lua STORE WORK NAME switcher [REST]   through the switcher of switcher.lua
---
--- Event ids are NAME-1, NAME-2 ... Every third event is written at the version that was read
--- before. It rests for REST seconds behind each.

local tycho = require "tycho"

local path, work, name, stream, rest = table.unpack(arg)
local store <close> = tycho.open(path, { sync = "none" })
local switch = stream == "switcher" and dofile("spec/fault/switcher.lua").new(store, work)
local acknowledged = assert(io.open(work .. "/" .. name .. ".ack", "a"))
acknowledged:setvbuf("no")

local function publish(event, number)
  if switch then return switch:publish(event) end
  local expected = number % 3 == 0 and store:stream_version(stream) or "any"
  store:append(stream, event, { expected_version = expected })
end

io.stdout:write("publishing\n")
io.stdout:flush()
for number = 1, math.maxinteger do
  local event = { type = "published", id = ("%s-%d"):format(name, number), data = number }
  local ok, err
  repeat
    ok, err = pcall(publish, event, number)
    if not ok and err.code ~= "wrong_expected_version" then error(err, 0) end
  until ok
  acknowledged:write(("%15d\n"):format(number))
  if rest then store:wait(math.maxinteger, tonumber(rest)) end
end
