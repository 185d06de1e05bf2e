--- A process that renames a stream in small chunks.
---
---   lua5.4 renamer.lua STORE SOURCE TARGET CHUNK [undo]

local tycho = require "tycho"

local path, source, target, chunk, undo = table.unpack(arg)
local store <close> = tycho.open(path, { sync = "none" })
io.stdout:write("renaming\n")
io.stdout:flush()
local status = store:rename { source = source, target = target, undo = undo ~= nil,
  chunk = math.tointeger(tonumber(chunk)), lock_timeout = 60, pause = 0.002 }
io.stdout:write(status.phase, "\n")
