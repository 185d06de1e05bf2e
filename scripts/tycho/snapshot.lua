--- Several reads at one instant. It pins pages of the file, so close it soon.
local check = require "tycho.check"
local core = require "tycho.core"
local specification = require "tycho.specification"

core.own()

---@class tycho.Snapshot
---@field private store userdata  the box of the store
---@field private box userdata
local Snapshot = { __name = "tycho.Snapshot" }
Snapshot.__index = Snapshot

local function new(store)
  return setmetatable({ store = store, box = store:snapshot() }, Snapshot)
end

function Snapshot:read()
  check.self(self, Snapshot)
  if not self.box:is_open() then core.misuse("snapshot is closed") end
  return specification.new(self.store, { snapshot = self.box })
end

function Snapshot:close() check.self(self, Snapshot).box:close() end

Snapshot.__close = Snapshot.close

function Snapshot:__tostring()
  return ("tycho.Snapshot: %p%s"):format(self.box, self.box:is_open() and "" or " (closed)")
end

return { new = new }
