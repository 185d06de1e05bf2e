--- Child processes of a spec: started through the shell, ended by their own id, never left behind.
---
---   local worker = process.lua("spec/fault/writer.lua", { path, "w1" })
---   worker:read()      -- a line that it printed
---   worker:kill()      -- SIGKILL
---   worker:signal("STOP")
---   worker:is_running()
---   worker:wait()      -- exit status, 128 + signal when it was killed
---
--- Whatever happens, `timeout` ends a child after LIMIT seconds, or what is given as `limit`.

local LIMIT = 120

-- The shell says "Killed" of what was killed; only what the child itself says is wanted.
local QUIETLY = "exec 3>&2 2>/dev/null; "

local Process = {}
Process.__index = Process

local process = {}
local running = {}

--- A word of a shell command.
function process.quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

--- Starts a shell command; `before` is run by the same shell first ("ulimit -f 100", "trap ...").
function process.start(command, before, limit)
  local inner = "exec 2>&3 3>&-; " .. (before and before .. "; " or "") .. "echo $$; exec "
    .. command
  local handle = assert(io.popen((QUIETLY .. "timeout -s KILL %d sh -c %s </dev/null; "
    .. "echo \"status $?\""):format(limit or LIMIT, process.quote(inner)), "r"))
  local self = setmetatable({ handle = handle, lines = {} }, Process)
  self.pid = math.tointeger(tonumber(handle:read("l")))
  running[self] = true
  return self
end

--- Starts a Lua script of this tree with the arguments; it finds the modules that this one finds.
function process.lua(script, arguments, before, limit)
  local words = { "env", process.quote("LUA_PATH=" .. package.path),
    process.quote("LUA_CPATH=" .. package.cpath), "lua5.4", process.quote(script) }
  for _, argument in ipairs(arguments) do words[#words + 1] = process.quote(tostring(argument)) end
  return process.start(table.concat(words, " "), before, limit)
end

--- The next line that the child prints; nil when it has ended.
function Process:read()
  if self.status then return nil end
  local line = self.handle:read("l")
  local status = line and line:match("^status (%d+)$")
  if line and not status then return line end
  self.status = tonumber(status) or -1
  self.handle:close()
  running[self] = nil
  return nil
end

--- Waits for its end: exit status, and the lines that were not read yet.
function Process:wait()
  local lines = {}
  for line in self.read, self do lines[#lines + 1] = line end
  return self.status, lines
end

--- Sends it a signal, unless its end was seen: "STOP", "CONT", "USR1".
function Process:signal(name)
  if not self.status then os.execute(("kill -%s %d 2>/dev/null"):format(name, self.pid)) end
end

--- Ends it at once. Its status is 137 then, unless it was quicker.
function Process:kill() self:signal("KILL") end

--- Whether it has not ended yet, without waiting.
function Process:is_running()
  if self.status then return false end
  local file <close> = io.open(("/proc/%d/stat"):format(self.pid))
  return file ~= nil
end

--- Ends and waits for all that are still there; for `after_each`.
function process.clean()
  for child in pairs(running) do child:kill() end
  while next(running) do next(running):wait() end
end

--- Waits a little, in seconds.
function process.sleep(seconds) os.execute(("sleep %.3f"):format(seconds)) end

return process
