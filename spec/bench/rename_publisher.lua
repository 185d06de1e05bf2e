--- A publisher of the bench: durable events, one after the other, each with the time it took.
---
---   lua5.4 rename_publisher.lua STORE STREAM FILE
---
--- It ends when the checkpoint "stop" is set; FILE then has a line "begun <tab> microseconds" for
--- each event.
local tycho = require "tycho"

local path, stream, file_path = table.unpack(arg)
local store <close> = tycho.open(path, { mode = "existing" })
local event = { type = "OrderPlaced", data = { note = ("x"):rep(100) } }
local samples = {}

io.stdout:write("publishing\n")
io.stdout:flush()
while store:checkpoint("stop") == 0 do
  local begun = tycho.now()
  store:append(stream, event)
  samples[#samples + 1] = ("%d\t%d\n"):format(begun, tycho.now() - begun)
end
local file <close> = assert(io.open(file_path, "w"))
file:write(table.concat(samples))
