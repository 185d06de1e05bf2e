--- The switcher that processes share: the lock is the store's, the pointer a file. Run as a
--- program, it is the catch-up process:
---
---   lua5.4 switcher.lua STORE WORK

local stream_switch = require "tycho.stream_switch"
local tycho = require "tycho"

local switcher = {}

--- A pointer in a file, replaced whole.
local function file_pointer(path)
  return {
    get = function()
      local file <close> = io.open(path)
      return file and file:read("l") or "source"
    end,
    set = function(_, stream)
      local file = assert(io.open(path .. ".new", "w"))
      file:write(stream, "\n")
      file:close()
      assert(os.rename(path .. ".new", path))
    end,
  }
end

function switcher.new(store, work)
  return stream_switch.switcher { store = store, source = "source", target = "target",
    lock = "switch", pointer = file_pointer(work .. "/pointer") }
end

if arg and arg[0]:find("switcher%.lua$") then
  local store <close> = tycho.open(arg[1], { sync = "none" })
  local switch = switcher.new(store, arg[2])
  io.stdout:write("catching up\n")
  io.stdout:flush()
  local processed, is_switched
  repeat processed, is_switched = switch:catchup(processed) until is_switched
  io.stdout:write("switched\n")
end

return switcher
