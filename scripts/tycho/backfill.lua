--- Deploying a linker with its older events, while others write. What is linked when, and what
--- makes it exact, is said in bindings/lua/host/tycho_scripts.h, section 8; here is the pace.
---
---   store:backfill { file = "linkers/by_customer.lua" }
---
--- Where nobody else writes, there is no pause. Otherwise chunks are short, and each is followed by
--- a pause as long as it took: most of that is reading and running the linker, which disturbs
--- nobody. When publishers are faster than that, there is none, and chunks grow until they are not.
local check = require "tycho.check"
local core = require "tycho.core"

core.own()

local backfill = { chunk_max = 10000 }

local OPTIONS = {
  "cancel", "chunk", "dry_run", "file", "linker", "lock_timeout", "pause", "progress", "source",
}
local CHUNK, SHORT_CHUNK = 5000, 2000
local REST_MAX = 2 -- seconds
local OUTRUN_MAX = 2000 -- steps that did not bring it nearer to the end
local LOCK_TIMEOUT = 10

---@class tycho.Backfill
---@field private box table
---@field private options table
---@field private before table   the status before the last step
---@field private started integer
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
  if options.chunk ~= nil and check.integer(options.chunk, "chunk", 1) > backfill.chunk_max then
    core.misuse(("chunk must be at most %d, got %d"):format(backfill.chunk_max, options.chunk))
  end
  for _, name in ipairs { "pause", "lock_timeout" } do
    if options[name] ~= nil then check.seconds(options[name], name) end
  end
  if options.progress ~= nil then check.callable(options.progress, "progress") end
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
    options = options, chunk = options.chunk or CHUNK, outrun = 0, started = core.now(),
  }, Backfill)
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

--- Publishers that are faster than the links are answered with larger chunks, without pauses.
local function adapt(self, status)
  local before = self.before
  local is_linking = status.phase == "linking" and before.phase == "linking"
  self.is_outrun = is_linking and left_of(status) >= left_of(before)
  self.is_alone = before.sequence == 0 or status.sequence == before.sequence + 1
  if not self.is_outrun then
    self.outrun = 0
  elseif self.chunk < backfill.chunk_max then
    self.chunk = math.min(self.chunk * 2, backfill.chunk_max)
  else
    self.outrun = self.outrun + 1
  end
  if self.outrun > OUTRUN_MAX then
    check.refuse("busy", ("publishers write faster than the back-fill of %q, %d events are left")
      :format(status.name, left_of(status)),
      "call again when they write less; it goes on from here")
  end
end

--- Does one piece of the work, which is one batch. False when there was nothing left to do.
---@return boolean
function Backfill:step()
  check.self(self, Backfill)
  local is_short = self.is_alone == false and not self.is_outrun and not self.options.chunk
  local went_on = self.box:step(is_short and SHORT_CHUNK or self.chunk)
  if not went_on then return false end
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
  local seconds, done = (core.now() - self.started) / 1e6, status.position - first.position
  if status.phase == "linking" and done > 0 and seconds > 0 then
    status.rate = done / seconds
    status.eta = status.left / status.rate
  end
  return status
end

--- Leaves the store to others when there are any, unless the caller says how long.
local function rest(self, microseconds)
  if self.is_outrun then return end
  local seconds = self.is_alone and 0 or math.min(microseconds / 1e6, REST_MAX)
  seconds = self.options.pause or seconds
  if seconds > 0 then core.sleep(math.ceil(seconds * 1000)) end
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
    local started = core.now()
    self:step()
    local microseconds = core.now() - started
    status = self:status()
    progress(status)
    if not is_over(status) then rest(self, microseconds) end
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
