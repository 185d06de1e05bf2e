--- A store: writing, look-ups, directories, subscribers.
---
--- `box` is the engine's handle (bindings/lua/store.c). It closes itself when it is collected, and
--- whatever reads keeps it alive; so this table needs no finalizer of its own. Every write is a
--- batch; `scratch` is the one that the methods which write at once share.
local Batch = require "tycho.batch"
local backfill = require "tycho.backfill"
local check = require "tycho.check"
local context = require "tycho.context"
local core = require "tycho.core"
local deploy = require "tycho.deploy"
local follower = require "tycho.follower"
local lock = require "tycho.lock"
local model = require "tycho.model"
local script = require "tycho.script"
local snapshot = require "tycho.snapshot"
local specification = require "tycho.specification"
local stream_switch = require "tycho.stream_switch"
local subscriptions = require "tycho.subscriptions"

core.own()

---@class tycho.Store
---@field private box userdata
---@field private context tycho.Context
---@field private subscriptions tycho.Subscriptions
---@field private scratch tycho.Batch
local Store = { __name = "tycho.Store" }
Store.__index = Store

local OPEN_OPTIONS = { "mode", "sync", "map_size", "readers_max", "write_timeout", "reserve_size",
  "marks_max" }
local WRITE_OPTIONS = { "expected_version", "on_duplicate", "raw", "idempotent" }
local WAIT_SLICE_MS = 500
local LOCK_TIMEOUT = 30
local FINDINGS_MAX = 1000

local function open(path, mode, options)
  local write_timeout = options.write_timeout
  local function size(name) return check.integer(options[name] or 0, name, 0) end
  local self = {
    box = core.open(path, mode,
      check.choice(options.sync, "sync", { "full", "batched", "none" }, "full"),
      size("map_size"), size("readers_max"),
      write_timeout and math.max(check.seconds(write_timeout, "write_timeout"), 1) or 0,
      size("reserve_size"), size("marks_max")),
    context = context.new(),
    subscriptions = subscriptions.new(),
  }
  self.scratch = Batch.new(self)
  return setmetatable(self, Store)
end

local function open_path(path, options)
  check.name(path, "path")
  if path:find("\0", 1, true) then core.misuse("path must not have a NUL byte") end
  options = check.options(options, OPEN_OPTIONS)
  local modes = { "create", "existing", "read_only" }
  return open(path, check.choice(options.mode, "mode", modes, "create"), options)
end

local function open_temporary(options)
  options = check.options(options, OPEN_OPTIONS)
  if options.mode then core.misuse("a temporary store has no mode") end
  return open(nil, "temporary", options)
end

local function box_of(self)
  return check.self(self, Store).box
end

-- ---------------------------------------------------------------- writing

--- The shared batch, empty. Nothing that could use it again runs before it is committed.
local function borrow(self)
  if not box_of(self):is_open() then core.misuse("store is closed") end
  return self.scratch:clear()
end

--- One operation, at once.
local function write(self, operation, ...)
  local batch = borrow(self)
  return batch[operation](batch, ...):commit()
end

--- Takes `idempotent`, which is the batch's, out of the options of an append or a link.
local function write_once(self, operation, stream, what, options)
  local own = {}
  options = check.options(options, WRITE_OPTIONS)
  for name, value in pairs(options) do own[name] = value end
  own.idempotent = nil
  local batch = borrow(self):set_idempotent(check.boolean(options.idempotent, "idempotent"))
  return batch[operation](batch, stream, what, own):commit()
end

function Store:append(stream, events, options)
  return write_once(self, "append", stream, events, options)
end

--- Calls the subscribers for the events of a receipt.
local function dispatch(self, receipt)
  local events = self:read():from_position(receipt.first_position - 1)
    :limit(receipt.event_count):all()
  for _, event in ipairs(events) do
    local cause = { causation_id = event.id, correlation_id = event.correlation_id or event.id }
    for _, handler in ipairs(self.subscriptions:handlers(event.type)) do
      self.context:run(cause, handler, event)
    end
  end
end

function Store:publish(stream, events, options)
  local receipt = Store.append(self, stream, events, options)
  local is_new = receipt.event_count > 0 and not receipt.is_replay
  if is_new and not self.subscriptions:is_empty() then dispatch(self, receipt) end
  return receipt
end

function Store:link(stream, event_ids, options)
  return write_once(self, "link", stream, event_ids, options)
end

function Store:unlink(stream, event_ids, options)
  return write(self, "unlink", stream, event_ids, options)
end

function Store:delete_stream(stream, options)
  return write(self, "delete_stream", stream, options)
end

function Store:truncate(stream, before, options)
  return write(self, "truncate", stream, before, options)
end

function Store:overwrite(events)
  return write(self, "overwrite", events)
end

function Store:batch(fill)
  check.self(self, Store)
  if fill == nil then return Batch.new(self) end
  check.callable(fill, "fill")
  local batch <close> = Batch.new(self)
  fill(batch)
  if batch.box:is_empty() then return nil end
  return batch:commit()
end

function Store:set_route(route, stream, options)
  local batch = borrow(self)
  options = check.options(options, { "expected", "closed" })
  if options.expected ~= nil then batch:expect_route(route, options.expected or nil) end
  return batch:set_route(route, stream, { closed = options.closed }):commit()
end

function Store:set_stream_metadata(stream, metadata, options)
  return write(self, "set_stream_metadata", stream, metadata, options)
end

function Store:put_row(table_name, key, value, options)
  local batch = borrow(self)
  options = check.options(options, { "version" })
  if options.version then batch:expect_row(table_name, key, options.version) end
  if value == nil then return batch:delete_row(table_name, key):commit() end
  return batch:put_row(table_name, key, value):commit()
end

function Store:set_checkpoint(name, position, options)
  local batch = borrow(self)
  options = check.options(options, { "expected" })
  if options.expected then batch:expect_checkpoint(name, options.expected) end
  return batch:set_checkpoint(name, position):commit()
end

-- ---------------------------------------------------------------- reading

function Store:read()
  return specification.new(box_of(self))
end

function Store:event(id)
  return Store.read(self):with_id(check.name(id, "id")):first()
end

function Store:has_event(id) return box_of(self):position(id) ~= nil end
function Store:position(id) return box_of(self):position(id) end

function Store:revision(id, stream, options)
  return box_of(self):revision(id, stream, check.flags(check.options(options, { "raw" })))
end

function Store:stream_version(stream, options)
  return box_of(self):stream_version(stream, check.flags(check.options(options, { "raw" })))
end

function Store:head() return box_of(self):head() end

function Store:last_event(stream)
  return Store.read(self):stream(stream):last()
end

function Store:snapshot()
  return snapshot.new(box_of(self))
end

-- ---------------------------------------------------------------- directories

local function list(self, kind, options, subject)
  options = check.options(options, { "prefix", "after", "limit" })
  return box_of(self):listing(kind, {
    subject = subject,
    prefix = options.prefix and check.string(options.prefix, "prefix"),
    after = options.after and check.string(options.after, "after"),
    limit = options.limit and check.integer(options.limit, "limit", 1),
  })
end

--- What the directory has behind this very name: the values of its loop without the name.
local function find(self, kind, name, subject)
  local options = { subject = subject, prefix = name, exact = true }
  local next_item, _, _, listing = box_of(self):listing(kind, options)
  local _ <close> = listing
  return select(2, next_item())
end

function Store:streams(options) return list(self, "streams", options) end
function Store:types(options) return list(self, "types", options) end
function Store:tags(options) return list(self, "tags", options) end
function Store:routes(options) return list(self, "routes", options) end
function Store:checkpoints(options) return list(self, "checkpoints", options) end

function Store:rows(table_name, options)
  return list(self, "rows", options, check.name(table_name, "table_name"))
end

function Store:streams_of(id)
  local names = {}
  if not Store.has_event(self, id) then return names end
  for name in list(self, "streams_of", nil, id) do names[#names + 1] = name end
  return names
end

function Store:route(name)
  return find(self, "routes", check.name(name, "name"))
end

function Store:stream_metadata(stream, options)
  local box = box_of(self)
  local is_raw = check.flags(check.options(options, { "raw" })) ~= 0
  local name = is_raw and check.name(stream, "stream") or box:resolve(stream)
  return (find(self, "stream_metadata", name))
end

function Store:row(table_name, key)
  check.name(table_name, "table_name")
  return find(self, "rows", check.string(key, "key"), table_name)
end

function Store:checkpoint(name)
  return find(self, "checkpoints", check.name(name, "name")) or 0
end

-- ---------------------------------------------------------------- moving streams

local function run_switch(self, kind, options)
  if not box_of(self):is_open() then core.misuse("store is closed") end
  return stream_switch.run(self, kind, options)
end

function Store:rename(options) return run_switch(self, "rename", options) end
function Store:merge(options) return run_switch(self, "merge", options) end
function Store:split(options) return run_switch(self, "split", options) end

-- ---------------------------------------------------------------- waiting

--- Waits in slices, so that an interrupt from the keyboard is noticed.
function Store:wait(position, timeout)
  local box = box_of(self)
  position = check.integer(position, "position", 0)
  local left_ms = timeout and check.seconds(timeout, "timeout")
  repeat
    local slice_ms = math.min(left_ms or WAIT_SLICE_MS, WAIT_SLICE_MS)
    local head = box:wait(position, slice_ms)
    if head then return head end
    left_ms = left_ms and left_ms - slice_ms
  until left_ms == 0
end

function Store:follow(options)
  return follower.new(box_of(self), options)
end

-- ---------------------------------------------------------------- locks

--- One wait, not slices: who waits anew comes behind the others.
function Store:lock(name, options)
  local box = box_of(self)
  local timeout = check.options(options, { "timeout" }).timeout or LOCK_TIMEOUT
  return lock.take(box, check.name(name, "name"), check.seconds(timeout, "timeout"))
end

function Store:with_lock(name, fn, options)
  check.self(self, Store)
  check.callable(fn, "fn")
  local held <close> = self:lock(name, options)
  return fn(held)
end

function Store:locks() return box_of(self):locks() end

-- ---------------------------------------------------------------- scripts

function Store:deploy(options)
  if not box_of(self):is_open() then core.misuse("store is closed") end
  return deploy.run(self, self.box, options)
end

function Store:backfill(options)
  if not box_of(self):is_open() then core.misuse("store is closed") end
  return backfill.run(self, self.box, options, deploy.read_file)
end

function Store:scripts() return deploy.list(check.self(self, Store)) end
function Store:script(kind, name) return script.open(box_of(self), kind, name) end

function Store:script_history(kind, name)
  check.self(self, Store)
  if kind ~= nil then check.name(kind, "kind") end
  if name ~= nil then check.name(name, "name") end
  return deploy.history(self, kind, name)
end

function Store:check_history(event_type, options)
  local box = box_of(self)
  return script.check_history(event_type, box, deploy.history(self, "event_type"), options)
end

function Store:model(name)
  local found = model.open(box_of(self), name)
  if not found then
    check.refuse("not_found", ("there is no read model %q"):format(name),
      "deploy it, or look at store:scripts() for those that are deployed")
  end
  return found
end

-- ---------------------------------------------------------------- subscribers

function Store:subscribe(handler, types)
  return check.self(self, Store).subscriptions:subscribe(handler, types)
end

function Store:subscribe_to_all(handler)
  return check.self(self, Store).subscriptions:subscribe_to_all(handler)
end

function Store:within(block)
  return check.self(self, Store).subscriptions:within(block)
end

function Store:with_metadata(metadata, fn)
  check.self(self, Store)
  context.check(metadata)
  return self.context:run(metadata, check.callable(fn, "fn"))
end

function Store:metadata()
  return check.self(self, Store).context:metadata()
end

-- ---------------------------------------------------------------- the whole store

function Store:verify(progress)
  local box, findings, found = box_of(self), {}, 0
  if progress ~= nil then check.callable(progress, "progress") end
  local events = box:head()
  local verification <close> = box:verification()
  while true do
    local done, total, count, text = verification:step()
    if not done then break end
    found = count
    if text and #findings < FINDINGS_MAX then findings[#findings + 1] = text end
    if progress then progress(done, total) end
  end
  if found > #findings then
    findings[#findings + 1] = ("and %d more"):format(found - #findings)
  end
  return { findings = findings, events = events }
end

function Store:backup(path) box_of(self):backup(check.name(path, "path")) end
function Store:compress(options)
  local box = box_of(self)
  options = check.options(options, { "sample", "off" })
  if check.boolean(options.off, "off") then
    if options.sample then core.misuse("off needs no sample") end
    box:compress()
    return nil
  end
  return box:compress(check.integer(options.sample or 0, "sample", 0))
end

function Store:stats() return box_of(self):stats() end
function Store:sync() box_of(self):sync() end
function Store:path() return box_of(self):path() end

function Store:close()
  box_of(self):close()
  self.scratch:close()
end

Store.__close = Store.close

function Store:__tostring()
  if not self.box:is_open() then return "tycho.Store: (closed)" end
  return ("tycho.Store: %s"):format(self.box:path())
end

--- Without `path` it only looks.
local function salvage(damaged, path)
  check.name(damaged, "damaged")
  if path ~= nil then check.name(path, "path") end
  local salvaged, found = core.salvage(damaged, path)
  local findings = salvaged.findings
  if found > #findings then
    findings[#findings + 1] = ("and %d more"):format(found - #findings)
  end
  return salvaged
end

return { open = open_path, temporary = open_temporary, salvage = salvage }
