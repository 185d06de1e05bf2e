--- Progress of long work on standard error: how much, how fast, how long still. Only on a
--- terminal, and only after the work has taken a second.
local count = require("tycho.command.output").count
local terminal = require "tycho.terminal"

---@class tycho.command.Progress
local Progress = {}
Progress.__index = Progress

---@param unit string    what is counted: "events"
---@return tycho.command.Progress
local function new(unit)
  local now = terminal.monotonic()
  return setmetatable({
    unit = unit,
    visible = terminal.is_terminal(2),
    started = now,
    shown = now + 0.8, -- the first line appears 0.2 s later, then five a second
    is_shown = false,
  }, Progress)
end

local function duration(seconds)
  seconds = math.floor(seconds + 0.5)
  if seconds < 3600 then return ("%d:%02d"):format(seconds // 60, seconds % 60) end
  return ("%d:%02d:%02d"):format(seconds // 3600, seconds // 60 % 60, seconds % 60)
end

--- The line that is shown; a function of its arguments.
---@param unit string
---@param done integer      of the unit
---@param seconds number    since the start
---@param fraction? number  of the whole work that is done, 0 to 1
---@return string
local function text(unit, done, seconds, fraction)
  local line = ("%s %s  %s/s"):format(count(done), unit, count(math.floor(done / seconds)))
  if fraction and fraction > 0 then
    fraction = math.min(fraction, 1)
    line = line .. ("  %d %%  %s left"):format(math.floor(fraction * 100),
      duration(seconds / fraction - seconds))
  end
  return line
end

--- Call it as often as you like.
---@param done integer
---@param fraction? number
function Progress:update(done, fraction)
  if not self.visible then return end
  local now = terminal.monotonic()
  if now - self.shown < 0.2 then return end
  self.shown, self.is_shown = now, true
  io.stderr:write("\r\27[K", text(self.unit, done, now - self.started, fraction))
end

--- Takes the line away.
function Progress:finish()
  if self.is_shown then io.stderr:write("\r\27[K") end
  self.is_shown = false
end

--- Seconds since the start.
function Progress:seconds()
  return terminal.monotonic() - self.started
end

return { new = new, text = text }
