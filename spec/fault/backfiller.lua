--- A process that back-fills a linker in small chunks: backfiller.lua STORE FILE CHUNK
local tycho = require "tycho"

local path, file, chunk = table.unpack(arg)
local store <close> = tycho.open(path, { sync = "none" })
io.stdout:write("back-filling\n")
io.stdout:flush()
local status = store:backfill { file = file, chunk = math.tointeger(tonumber(chunk)),
  lock_timeout = 60, pause = 0.002 }
io.stdout:write(status.phase, "\n")
