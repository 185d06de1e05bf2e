--- Backs a store up to the path that is recorded, and says when that is there.
---
---   lua5.4 backup.lua BACKUP BATCHES

local tycho = require "tycho"

local path, batches = arg[1], math.tointeger(tonumber(arg[2]))
local store <close> = tycho.open(path .. ".source", { sync = "none", reserve_size = 1 })
for number = 1, batches do
  store:append("stream-" .. number % 7, { type = "t", data = ("x"):rep(number) })
end
store:backup(path)
os.remove("power-mark:opened")
os.remove("power-mark:synced " .. store:stats().sequence)
