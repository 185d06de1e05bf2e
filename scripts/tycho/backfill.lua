--- Deploying a linker with its older events, while others write. What is linked when, and what
--- makes it exact, is said in bindings/lua/host/tycho_scripts.h, section 8.
---
---   store:backfill { file = "linkers/by_customer.lua" }
local check = require "tycho.check"
local core = require "tycho.core"
local pace = require "tycho.pace"

core.own()

local backfill = {}

local OPTIONS = {
  "cancel", "chunk", "dry_run", "file", "linker", "lock_timeout", "pause", "progress", "source",
}
-- So few chunks that some one of a hundred publishers waits for one, and so short that he waits for
-- a commit or two (4 processes, durable: their p99 is 1.6 to 1.8 times that without; with 2,000
-- events a chunk it was 2.1, and the back-fill not faster).
local LIMITS = { short = 1000, rest = 25, rest_max = 2, outrun_max = 2000 }
local LOCK_TIMEOUT = 10

---@class tycho.Backfill
---@field private box table
---@field private options table
---@field private pace tycho.Pace
---@field private before table   the status before the last step
local Backfill = { __name = "tycho.Backfill" }
Backfill.__index = Backfill

-- ---------------------------------------------------------------- opening

--- The text of the linker, and what it is called in messages; or its name.
local function read_source(options, read_file)
  local given
  for _, name in ipairs { "file", "source", "linker" } do
    if options[name] ~= nil then
      if given then core.misuse(("%s and %s exclude each other"):format(given, name)) end
      given = name
    end
  end
  if given == "linker" then
    return nil, check.name(options.linker, "linker"), options.linker
  elseif given == "source" then
    return check.string(options.source, "source"), nil, "source"
  elseif given == "file" then
    local read = read_file(check.name(options.file, "file"))
    return read.source, nil, read.label
  end
  core.misuse("a back-fill needs the file, the source or the name of a linker")
end

local function check_options(options)
  check.options(check.table(options, "options"), OPTIONS)
  check.boolean(options.cancel, "cancel")
  check.boolean(options.dry_run, "dry_run")
  if options.cancel and options.dry_run then
    core.misuse("cancel and dry_run exclude each other")
  end
  pace.check(options)
end

--- A back-fill that is ready to go on from where the store is.
---@return tycho.Backfill
function backfill.new(store, box, options, read_file)
  check_options(options)
  local source, name, label = read_source(options, read_file)
  if options.cancel and source then name, source = core.script(source, label):about().name, nil end
  local timeout = check.seconds(options.lock_timeout or LOCK_TIMEOUT, "lock_timeout")
  local self = setmetatable({
    store = store, box = box:backfill(source, name, label, timeout, options.dry_run or false),
    options = options, pace = pace.new(options, LIMITS),
  }, Backfill)
  self.pace.is_alone = true
  self.before = self.box:status()
  self.first = self.before
  return self
end

-- ---------------------------------------------------------------- steps

local function is_over(status) return status.phase == "done" or status.phase == "cancelled" end

--- What is left to be done in this phase, in events or streams.
local function left_of(status)
  if status.phase == "mending" or status.phase == "preparing" then return status.left end
  if status.phase == "cancelling" then return status.position end
  return status.head - status.position
end

local function adapt(self, status)
  local before = self.before
  local is_linking = status.phase == "linking" and before.phase == "linking"
  local is_lost = self.pace:note(is_linking and left_of(status) >= left_of(before))
  self.pace.is_alone = before.sequence == 0 or status.sequence == before.sequence + 1
  if not is_lost then return end
  check.refuse("busy", ("publishers write faster than the back-fill of %q, %d events are left")
    :format(status.name, left_of(status)),
    "call again when they write less; it goes on from here")
end

--- Does one piece of the work, which is one batch. False when there was nothing left to do.
---@return boolean
function Backfill:step()
  check.self(self, Backfill)
  if not self.box:step(self.pace:next_chunk()) then return false end
  local status = self.box:status()
  adapt(self, status)
  self.before = status
  return true
end

--- Where it stands.
---@return tycho.BackfillStatus
function Backfill:status()
  check.self(self, Backfill)
  local status, first = self.box:status(), self.first
  status.left = is_over(status) and 0 or left_of(status)
  status.total = status.left + status.position
  if self.options.dry_run then status.phase = "planned" end
  if status.phase == "linking" then
    self.pace:estimate(status, status.position - first.position)
  end
  return status
end

--- All that is left.
---@return tycho.BackfillStatus
function Backfill:run()
  check.self(self, Backfill)
  local progress = self.options.progress or function() end
  if self.options.cancel then self.box:cancel() end
  local status = self:status()
  progress(status)
  while not self.options.dry_run and not is_over(status) do
    local started = core.monotonic()
    self:step()
    local microseconds = core.monotonic() - started
    status = self:status()
    progress(status)
    if not is_over(status) then self.pace:rest(microseconds) end
  end
  return status
end

--- Gives the lock back; what was done stays, and the next call goes on from it. May be called
--- twice.
function Backfill:close() self.box:close() end

Backfill.__close = Backfill.close

--- All of it: what store:backfill does.
---@return tycho.BackfillStatus
function backfill.run(store, box, options, read_file)
  local self <close> = backfill.new(store, box, options, read_file)
  return self:run()
end

return backfill
