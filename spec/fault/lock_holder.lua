--- Takes a lock and has it until it is ended: lock_holder.lua STORE NAME. Prints the token.
local tycho = require "tycho"

local store = tycho.open(arg[1], { mode = "existing" })
local lock = store:lock(arg[2])
io.stdout:setvbuf("line")
print(lock:token())
store:wait(math.maxinteger)
