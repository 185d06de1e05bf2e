--- Boxes for property.history: a store that can be closed and opened again between steps.

local literal = require "support.literal"
local model = require "support.model"
local process = require "support.process"
local scratch = require "support.scratch"

local boxes = {}

local function keep() end

local function box_of(box)
  box.tokens, box.locks, box.followers, box.ran = {}, {}, {}, nil
  return box
end

--- A model; `break_it(store)` may plant a mistake in it.
function boxes.model(break_it)
  return function()
    local box = box_of { store = model.temporary(), close = keep, is_model = true }
    function box.reopen() box.store:close() end
    box.store.state.sequence = 1
    if break_it then break_it(box.store) end
    return box
  end
end

local Engine = {}
Engine.__index = Engine

function Engine:open() self.store = require("tycho").open(self.path, { sync = "none" }) end

function Engine:reopen()
  self.store:close()
  self:open()
end

--- Lets another process run the step; gives its outcome.
function Engine:elsewhere(step)
  local path = self.directory .. "/step"
  local file <close> = assert(io.open(path, "w"))
  file:write("return ", literal(step))
  file:close()
  local status, lines = process.lua("spec/property/elsewhere.lua", { self.path, path }):wait()
  assert(status == 0, "a process that should run a step ended with " .. status)
  return assert(load("return " .. table.concat(lines, "\n")))()
end

--- Every history ends with a whole-store check.
function Engine:close()
  local findings = self.store:verify().findings
  self.store:close()
  scratch.remove(self.directory)
  assert(#findings == 0, "the store is damaged: " .. table.concat(findings, "; "))
end

--- A store of the engine in a directory of its own, removed when the box is closed.
function boxes.engine()
  local path, directory = scratch.path()
  local box = box_of(setmetatable({ path = path, directory = directory }, Engine))
  box:open()
  box.store:lock("any"):release() -- the first one reserves tokens, by a batch
  return box
end

return boxes
