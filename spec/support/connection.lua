--- A connection to a `tycho rpc` of its own process: requests go out, lines come in when they are
--- ready, each is kept for who asks for its id.
---
---   local c = connection.open(path)
---   c:ask("head")                         the result
---   local id = c:send("follow", {...})    without waiting
---   c:line(id)                            the next line with this id
---   c:close()                             the end of its input: all lines that were not asked for
---
--- A process ends by itself after a time limit (support.process), and so does who waits for a line.

local json = require("tycho").json
local process = require "support.process"

local connection = {}

local Connection = {}
Connection.__index = Connection

local SERVE = 'require("tycho.rpc").serve(arg[1])'
local opened = 0

--- A process that serves the store, with its input in our hands.
function connection.open(path)
  opened = opened + 1
  local pipe = ("%s-in-%d"):format(path, opened)
  assert(os.execute("mkfifo " .. process.quote(pipe)))
  local script = pipe .. ".lua"
  local file <close> = assert(io.open(script, "w"))
  assert(file:write(SERVE))
  file:close()
  local words = { "env", process.quote("LUA_PATH=" .. package.path),
    process.quote("LUA_CPATH=" .. package.cpath), "lua5.4", process.quote(script),
    process.quote(path), "<", process.quote(pipe) }
  local child = process.start(table.concat(words, " "))
  -- Not io.open(): processes that are started later would hold the pipe open too.
  local input = assert(io.popen("exec cat >" .. process.quote(pipe), "w"))
  input:setvbuf("line")
  return setmetatable({ child = child, pid = child.pid, input = input, kept = {}, count = 0 },
    Connection)
end

function Connection:send_text(text) assert(self.input:write(text, "\n")) end

--- Sends a request; its id.
function Connection:send(op, fields)
  self.count = self.count + 1
  local request = { id = self.count, op = op }
  for name, value in pairs(fields or {}) do request[name] = value end
  self:send_text(json.encode(request))
  return self.count
end

--- The next line of the process, as it is and decoded.
local function read_line(self)
  local text = self.child:read()
  if not text then return nil end
  return assert(json.decode(text)), text
end

--- The next line with this id, or nil at the end of all.
function Connection:line(id)
  local kept = self.kept[id]
  if kept and #kept > 0 then return table.remove(kept, 1) end
  for line in read_line, self do
    if line.id == id then return line end
    self.kept[line.id] = self.kept[line.id] or {}
    table.insert(self.kept[line.id], line)
  end
end

--- An iterator over the lines with this id.
local function lines_of(self, id)
  return function() return self:line(id) end
end

--- The next line with this id that has the field.
function Connection:line_with(id, field)
  for line in lines_of(self, id) do
    if line[field] ~= nil then return line end
  end
  error(("no line with %s for request %d"):format(field, id), 2)
end

--- The answer, behind what the request said before.
function Connection:answer(op, fields)
  return self:line_with(self:send(op, fields), "ok")
end

function Connection:ask(op, fields)
  local answer = self:answer(op, fields)
  if not answer.ok then error(("%s: %s: %s"):format(op, answer.error, answer.message), 2) end
  return answer.result
end

function Connection:refused(op, fields)
  local answer = self:answer(op, fields)
  if answer.ok then error(op .. " was not refused", 2) end
  return answer
end

--- The events of a follow up to the next caught_up: their ids, and that line.
function Connection:events(id)
  local ids = {}
  for line in lines_of(self, id) do
    if line.event then
      ids[#ids + 1] = line.event.event_id
    elseif line.caught_up then
      return ids, line
    elseif not line.ok then
      error("the follow is over: " .. json.encode(line), 2)
    end
  end
  error("the output is over", 2)
end

--- Ends the input and waits for the end of the output: the lines that nobody asked for, by id.
function Connection:close()
  self.input:close()
  for line in read_line, self do
    self.kept[line.id] = self.kept[line.id] or {}
    table.insert(self.kept[line.id], line)
  end
  return self.kept, self.child.status
end

--- Ends the process with SIGKILL, and waits until it is gone.
function Connection:kill()
  self.child:kill()
  self.child:wait()
  self.input:close()
end

return connection
