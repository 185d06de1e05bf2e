--- Runs one step of a history in a process of its own, and prints the outcome as Lua source:
--- lua5.4 elsewhere.lua STORE STEP, where STEP is a file that returns the step.

local history = require "property.history"
local literal = require "support.literal"
local tycho = require "tycho"

local path, step = arg[1], dofile(arg[2])
local store <close> = tycho.open(path, { mode = "existing", sync = "none" })
print(literal(history.outcome({ store = store }, step)))
