--- A host that speaks the protocol: requests and answers as tables.
---
---   local host = rpc.host()                     in process, on a new store
---   host:ask("append", { records = {...} })     the result, or an error that says the answer
---   host:refused("append", {...})               the answer of a request that must be refused
---   rpc.run({ line, ... }, path)                lines through a process: the answers as lines

local json = require("tycho").json
local dispatcher = require "tycho.rpc"
local scratch = require "support.scratch"

local rpc = {}

local Host = {}
Host.__index = Host

--- Sends one request of any text.
function Host.raw(_, text)
  return json.decode(dispatcher.dispatch(text))
end

function Host:answer(op, fields)
  self.requests = self.requests + 1
  local request = { id = self.requests, op = op }
  for name, value in pairs(fields or {}) do request[name] = value end
  local answer = self:raw(json.encode(request))
  assert(answer.id == request.id, "the answer has another id")
  return answer
end

function Host:ask(op, fields)
  local answer = self:answer(op, fields)
  if not answer.ok then error(("%s: %s: %s"):format(op, answer.error, answer.message), 2) end
  return answer.result
end

function Host:refused(op, fields)
  local answer = self:answer(op, fields)
  if answer.ok then error(("%s was not refused"):format(op), 2) end
  return answer
end

--- Ids of the events of a read.
function Host:ids(spec)
  local ids = {}
  for index, event in ipairs(self:ask("read", { spec = spec }).events) do
    ids[index] = event.event_id
  end
  return ids
end

--- Verifies the store, closes it and removes it.
function Host:finish()
  local found = self:ask("verify").findings
  self:ask("close")
  scratch.remove(self.directory)
  assert(#found == 0, table.concat(found, "; "))
end

function rpc.host()
  local path, directory = scratch.path()
  local host = setmetatable({ path = path, directory = directory, requests = 0 }, Host)
  host:ask("open", { path = path, sync = "none" })
  return host
end

local function read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

function rpc.write_file(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

local SERVE = [[lua5.4 -e 'package.cpath = "%s"; require("tycho.rpc").serve(%s)']]

--- The command of a process that serves; path is the store to open first, or nil.
function rpc.command(path)
  local place = path and ("%q"):format(path) or ""
  return SERVE:format(package.cpath, place)
end

--- Feeds `input` to processes at the same time: their outputs, in order.
function rpc.run(inputs, path)
  local base, directory = scratch.path()
  local commands = {}
  for index, input in ipairs(inputs) do
    rpc.write_file(base .. index, input)
    commands[index] = ("%s <%s%d >%s%d.out &"):format(rpc.command(path), base, index, base, index)
  end
  assert(os.execute(table.concat(commands, "\n") .. "\nwait"))
  local outputs = {}
  for index = 1, #inputs do outputs[index] = read_file(base .. index .. ".out") end
  scratch.remove(directory)
  return outputs
end

--- Decodes each line.
function rpc.answers(output)
  local list = {}
  for line in output:gmatch("([^\n]*)\n") do list[#list + 1] = json.decode(line) end
  return list
end

return rpc
