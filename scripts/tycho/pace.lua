--- The pace of work that is done chunk by chunk while others write: renaming, merging, splitting,
--- back-filling.
---
--- Where nobody else writes, there is no rest. Otherwise chunks are short, and each is followed by
--- a rest of so many times what it took. When publishers are faster than that, there is none, and
--- chunks grow until they are not.
local check = require "tycho.check"
local core = require "tycho.core"

core.own()

local CHUNK = 5000

---@class tycho.Pace
---@field is_outrun boolean       whether as much came as was done
---@field is_alone boolean?       whether nobody committed between the last two batches
---@field chunk integer           the largest; grows while publishers are faster
---@field private outrun integer  chunks of the very largest size by which it came no nearer, less
---                               those by which it did
---@field private started integer
local Pace = {}
Pace.__index = Pace

local pace = { chunk_max = 10000 }

--- Checks the options that all such work has.
function pace.check(options)
  if options.chunk ~= nil and check.integer(options.chunk, "chunk", 1) > pace.chunk_max then
    core.misuse(("chunk must be at most %d, got %d"):format(pace.chunk_max, options.chunk))
  end
  for _, name in ipairs { "pause", "lock_timeout" } do
    if options[name] ~= nil then check.seconds(options[name], name) end
  end
  if options.progress ~= nil then check.callable(options.progress, "progress") end
end

--- The options decide about chunk and pause where they are given.
---@param limits { short: integer, rest: number, rest_max: number, outrun_max: integer }
---   short: a chunk when there are others; rest: times what a chunk took; rest_max: seconds
---@return tycho.Pace
function pace.new(options, limits)
  return setmetatable({
    limits = limits, pause = options.pause, is_fixed = options.chunk ~= nil, outrun = 0,
    chunk = math.tointeger(options.chunk or CHUNK), is_outrun = false, started = core.monotonic(),
  }, Pace)
end

--- Takes note of whether as much came as was done. True: that was so for too long, most of the
--- time; one chunk by which it came nearer, while publishers rest, is no sign of an end.
function Pace:note(is_outrun)
  self.is_outrun = is_outrun
  if not is_outrun then
    self.outrun = math.max(0, self.outrun - 1)
  elseif self.chunk < pace.chunk_max then
    self.chunk = math.min(self.chunk * 2, pace.chunk_max)
  else
    self.outrun = self.outrun + 1
  end
  return self.outrun > self.limits.outrun_max
end

--- The size of the next chunk.
function Pace:next_chunk()
  local is_short = not (self.is_alone or self.is_outrun or self.is_fixed)
  return is_short and self.limits.short or self.chunk
end

--- Leaves the store to others when there are any.
---@param microseconds integer   that the last chunk took
function Pace:rest(microseconds)
  if self.is_outrun then return end
  local limits = self.limits
  local seconds = math.min(microseconds / 1e6 * limits.rest, limits.rest_max)
  seconds = self.pause or self.is_alone and 0 or seconds
  if seconds > 0 then core.sleep(math.ceil(seconds * 1000)) end
end

--- Adds rate and eta to a status with `left`, when something was done since the beginning.
function Pace:estimate(status, done)
  local seconds = (core.monotonic() - self.started) / 1e6
  if done <= 0 or seconds <= 0 then return end
  status.rate = done / seconds
  status.eta = status.left / status.rate
end

return pace
