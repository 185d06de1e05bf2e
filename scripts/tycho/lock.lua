--- A named lock that is held, until it is released, closed or collected, or its store is closed.
local check = require "tycho.check"
local core = require "tycho.core"

core.own()

---@class tycho.Lock
---@field private box userdata
---@field private given_name string
---@field private given_token integer
local Lock = { __name = "tycho.Lock" }
Lock.__index = Lock

--- Takes the lock; see tycho.Store:lock.
local function take(store, name, timeout_ms)
  local box = store:lock(name, timeout_ms)
  return setmetatable({ box = box, given_name = name, given_token = box:token() }, Lock)
end

function Lock:name() return check.self(self, Lock).given_name end
function Lock:token() return check.self(self, Lock).given_token end
function Lock:is_held() return check.self(self, Lock).box:is_open() end
function Lock:release() check.self(self, Lock).box:close() end

Lock.__close = Lock.release

function Lock:__tostring()
  return ("tycho.Lock: %s, token %d%s"):format(self.given_name, self.given_token,
    self.box:is_open() and "" or " (released)")
end

return { take = take }
