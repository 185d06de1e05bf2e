--- What the demo runs beside its rename: a process that goes on writing to a stream by its old
--- name.
---
---   lua5.4 examples/demo/publisher.lua STORE STREAM
---
--- Ends when the checkpoint "demo-stop" is set, and prints how many events it wrote and the
--- longest time that one took, in microseconds.

local tycho = require "tycho"

local path, stream = table.unpack(arg)
local store <close> = tycho.open(path, { mode = "existing" })
local count, longest = 0, 0

io.stdout:write("publishing\n")
io.stdout:flush()
while store:checkpoint("demo-stop") == 0 do
  count = count + 1
  local begun = tycho.now()
  store:append(stream, { type = "NoteTaken", data = { number = count } })
  longest = math.max(longest, tycho.now() - begun)
  store:wait(math.maxinteger, 0.002)
end
print(count, longest)
