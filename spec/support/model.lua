--- A store in memory, with the API of `tycho.Store`: what an event store should do, written to be
--- read. The specs run against it and against the engine, and whatever differs is a mistake in one
--- of the two.
---
--- Not modelled, because they are not about what a store holds: subscribers, with_metadata,
--- files, durability, the encoding of batches. Followers and locks are in model_follow.lua, stream
--- switches in model_switch.lua, deployed scripts in model_scripts.lua.

local follow = require "support.model_follow"
local read = require "support.model_read"
local rules = require "support.model_rules"
local scripts = require "support.model_scripts"
local state = require "support.model_state"
local switch = require "support.model_switch"

local model = {}

local Batch = { __name = "model.Batch" }
Batch.__index = Batch
local Store = { __name = "model.Store" }
Store.__index = Store

-- The batch -----------------------------------------------------------------------------------

local clock, serial = 1000000, 0

local function fresh_id()
  serial = serial + 1
  return ("model-%08d"):format(serial)
end

local function tag_list(tags)
  local list, seen = {}, {}
  for _, tag in ipairs(tags or {}) do
    rules.check_name(tag, "tag")
    if not seen[tag] then list[#list + 1] = tag end
    seen[tag] = true
  end
  if #list > rules.TAGS_MAX then rules.refuse("too_large", "an event has at most 64 tags") end
  table.sort(list)
  return list
end

--- Only long texts count here: the model does not know how data is encoded.
local function size_of(event)
  return type(event.data) == "string" and #event.data or 0
end

local function total_size(events)
  local size = 0
  for _, event in ipairs(events) do size = size + size_of(event) end
  return size
end

local function new_event(given)
  if type(given) ~= "table" then rules.misuse("an event must be a table") end
  clock = clock + 1
  local event = {
    id = given.id or fresh_id(), type = rules.check_name(given.type, "type"),
    time = given.time or clock, tags = tag_list(given.tags), content_type = given.content_type,
    correlation_id = given.correlation_id, causation_id = given.causation_id,
    data = rules.copy(given.data == nil and {} or given.data),
    metadata = rules.copy(given.metadata or {}), has_valid_time = given.valid_time ~= nil,
  }
  rules.check_id(event.id)
  event.valid_time = given.valid_time or event.time
  if given.correlation_id then rules.check_id(given.correlation_id, "correlation_id") end
  if given.causation_id then rules.check_id(given.causation_id, "causation_id") end
  if size_of(event) > rules.EVENT_SIZE_MAX then
    rules.refuse("too_large", "the event is too big")
  end
  return event
end

local function event_list(events)
  if type(events) ~= "table" then rules.misuse("events must be a table") end
  if events.type ~= nil or (next(events) ~= nil and events[1] == nil) then events = { events } end
  local list = {}
  for index, event in ipairs(events) do list[index] = new_event(event) end
  return list
end

local function id_list(ids)
  local list = {}
  for index, id in ipairs(rules.as_list(ids)) do list[index] = rules.check_id(id) end
  return list
end

local function new_batch(store)
  return setmetatable({ store = store, conditions = {}, operations = {}, named = 0, size = 0 },
    Batch)
end

local function add(list, kind, step)
  if #list >= rules.STEPS_MAX then rules.refuse("too_large", "a batch has at most 10000 steps") end
  step.kind = kind
  list[#list + 1] = step
end

--- Counts the events that a batch names, and their size; too many are refused before anything is
--- added.
local function take(batch, count, events)
  local size = batch.size + total_size(events or {})
  if batch.named + count > rules.EVENTS_MAX or size > rules.BATCH_SIZE_MAX then
    rules.refuse("too_large", "a batch names at most 10000 events, and has at most 64 MiB")
  end
  batch.named, batch.size = batch.named + count, size
end

function Batch:expect(stream, version, options)
  add(self.conditions, "expect", { stream = rules.check_name(stream, "stream"),
    expected = rules.check_version(version), raw = (options or {}).raw })
  return self
end

function Batch:expect_none(query, after)
  add(self.conditions, "expect_none", { query = rules.check_query(query),
    after = rules.check_integer(after, "after", 0) })
  return self
end

function Batch:expect_route(route, stream)
  add(self.conditions, "expect_route", { route = rules.check_name(route, "route"),
    stream = stream and rules.check_name(stream, "stream") or nil })
  return self
end

function Batch:expect_row(table_name, key, version)
  add(self.conditions, "expect_row", { table = rules.check_name(table_name, "table"),
    key = rules.check_key(key), version = rules.check_integer(version, "version", 0) })
  return self
end

function Batch:expect_checkpoint(name, position)
  add(self.conditions, "expect_checkpoint", { name = rules.check_name(name, "checkpoint"),
    position = rules.check_integer(position, "position", 0) })
  return self
end

function Batch:expect_lock(name, token)
  add(self.conditions, "expect_lock", { name = rules.check_name(name, "lock"),
    token = rules.check_integer(token, "token", 1) })
  return self
end

function Batch:append(stream, events, options)
  options = options or {}
  local expected = rules.check_version(options.expected_version)
  if stream then
    rules.check_name(stream, "stream")
  elseif expected ~= "any" then
    rules.refuse("invalid_expected_version", "the log alone knows only any")
  end
  local list = event_list(events)
  take(self, #list, list)
  add(self.operations, "append", { stream = stream, events = list, expected = expected,
    raw = options.raw })
  if options.idempotent then self.idempotent = true end
  return self
end

function Batch:link(stream, ids, options)
  options = options or {}
  local list = id_list(ids)
  take(self, #list)
  add(self.operations, "link", { stream = rules.check_name(stream, "stream"), ids = list,
    expected = rules.check_version(options.expected_version), raw = options.raw,
    skip = options.on_duplicate == "skip" })
  return self
end

function Batch:link_range(source, first, last, target, options)
  options = options or {}
  last = last or -1
  add(self.operations, "link_range", { source = rules.check_name(source, "stream"),
    first = rules.check_integer(first, "first", 0), last = rules.check_integer(last, "last", -1),
    stream = rules.check_name(target, "stream"), raw = options.raw,
    expected = rules.check_version(options.expected_version),
    skip = options.on_duplicate == "skip", keep = options.keep_revisions })
  return self
end

function Batch:link_merged(sources, target, options)
  options = options or {}
  add(self.operations, "link_merged", { sources = sources, raw = options.raw,
    stream = rules.check_name(target, "stream"),
    expected = rules.check_version(options.expected_version),
    skip = options.on_duplicate == "skip" })
  for index, source in ipairs(sources) do
    rules.check_integer(source[2], "first", 0)
    for other = 1, index - 1 do
      if sources[other][1] == source[1] then rules.misuse("a stream is named twice") end
    end
    if source[1] == target then rules.misuse("a stream is named twice") end
  end
  return self
end

function Batch:unlink(stream, ids, options)
  local list = id_list(ids)
  take(self, #list)
  add(self.operations, "unlink", { stream = rules.check_name(stream, "stream"), ids = list,
    raw = (options or {}).raw })
  return self
end

function Batch:delete_stream(stream, options)
  options = options or {}
  if options.expected_version ~= nil then
    self:expect(stream, options.expected_version, { raw = options.raw })
  end
  add(self.operations, "delete_stream", { stream = rules.check_name(stream, "stream"),
    raw = options.raw })
  return self
end

function Batch:truncate(stream, before, options)
  add(self.operations, "truncate", { stream = rules.check_name(stream, "stream"),
    before = rules.check_integer(before, "before", 0), raw = (options or {}).raw })
  return self
end

function Batch:set_stream_metadata(stream, metadata, options)
  add(self.operations, "set_stream_metadata", { stream = rules.check_name(stream, "stream"),
    metadata = rules.copy(metadata), raw = (options or {}).raw })
  return self
end

function Batch:set_route(route, stream, options)
  local closed = options and options.closed or nil
  if closed and not stream then rules.misuse("a closed route needs a stream") end
  add(self.operations, "set_route", { route = rules.check_name(route, "route"), closed = closed,
    stream = stream and rules.check_name(stream, "stream") or nil })
  return self
end

function Batch:put_row(table_name, key, value)
  if value == nil then return self:delete_row(table_name, key) end
  add(self.operations, "put_row", { table = rules.check_name(table_name, "table"),
    key = rules.check_key(key), value = rules.copy(value) })
  return self
end

function Batch:delete_row(table_name, key)
  add(self.operations, "delete_row", { table = rules.check_name(table_name, "table"),
    key = rules.check_key(key) })
  return self
end

function Batch:set_checkpoint(name, position)
  add(self.operations, "set_checkpoint", { name = rules.check_name(name, "checkpoint"),
    position = rules.check_integer(position, "position", 0) })
  return self
end

function Batch:overwrite(events)
  local list = event_list(events)
  take(self, #list, list)
  add(self.operations, "overwrite", { events = list })
  return self
end

function Batch:set_idempotent(idempotent)
  self.idempotent = idempotent ~= false
  return self
end

function Batch:clear()
  self.conditions, self.operations = {}, {}
  self.named, self.size, self.idempotent = 0, 0, nil
  return self
end

function Batch:close() self:clear() end

--- Adds where in the batch a refusal happened, then raises it again.
local function at(fact, index, fn, ...)
  local ok, result = pcall(fn, ...)
  if ok then return result end
  if type(result) == "table" then result[fact] = index end
  return error(result, 0)
end

local function receipt_of(s, batch, results)
  local receipt = { sequence = s.sequence, head = #s.events, event_count = 0, event_ids = {},
    results = results, is_replay = false }
  for index, operation in ipairs(batch.operations) do
    if operation.kind == "append" and #operation.events > 0 then
      receipt.first_position = receipt.first_position or results[index].first_position
      for _, event in ipairs(operation.events) do
        receipt.event_ids[#receipt.event_ids + 1] = event.id
      end
    end
  end
  receipt.event_count = #receipt.event_ids
  return receipt
end

--- Those about locks, which no batch changes, are looked at first.
local function check_conditions(batch, are_of_locks)
  for index, condition in ipairs(batch.conditions) do
    if (condition.kind == "expect_lock") == are_of_locks then
      at("condition", index, state.conditions[condition.kind], batch.store.state, condition)
    end
  end
end

--- Former names of the types that conditions name are looked for when all conditions hold.
local function check_former_names(batch)
  local s = batch.store.state
  for index, condition in ipairs(batch.conditions) do
    local further = scripts.further(s, condition)
    if further then at("condition", index, state.conditions.expect_none, s, further) end
  end
end

function Batch:commit()
  local store = self.store
  if #self.conditions + #self.operations == 0 then rules.misuse("the batch is empty") end
  if self.idempotent then
    local replay = store:replay_of(self)
    if replay then return replay end
  end
  local steps = scripts.expand(store.state, self.operations)
  check_conditions(self, true)
  check_conditions(self, false)
  check_former_names(self)
  for index, operation in ipairs(self.operations) do
    if operation.expected and operation.stream then
      at("operation", index, state.conditions.expect, store.state, operation)
    end
  end
  local changed, results = state.copy(store.state), {}
  changed.sequence = changed.sequence + 1
  for index, operation in ipairs(steps) do
    results[index] = at("operation", index, state.operations[operation.kind], changed, operation)
  end
  store.state = changed
  local receipt = receipt_of(changed, self, results)
  store.receipts[receipt.sequence] = receipt
  return receipt
end

-- The store: writing --------------------------------------------------------------------------

--- A new, empty store.
function model.temporary()
  return setmetatable({ state = state.empty(), receipts = {} }, Store)
end

-- Times are not compared: where they are left out, each attempt has its own.
local SAME = { "type", "correlation_id", "causation_id", "content_type" }

local function deep_equal(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not deep_equal(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

--- `name` is the stream that the batch names now: the event's own, one that its name leads to
--- now, or one that has it as a link.
local function is_same(s, stored, event, name)
  for _, field in ipairs(SAME) do
    if stored[field] ~= event[field] then return false end
  end
  local is_there = stored.stream == name
    or name and stored.stream and state.resolve(s, stored.stream) == name
    or name and state.find_entry(s, name, stored.position) ~= nil
  local are_tags_same = next(s.scripts) ~= nil or deep_equal(stored.tags, event.tags)
  return is_there and are_tags_same
    and deep_equal({ stored.data, stored.metadata }, { event.data, event.metadata })
end

--- The original receipt, when all events of the batch are there with this content and stream; nil
--- when none is there; a duplicate when only a part is, or something else.
function Store:replay_of(batch)
  local known, different, missing
  for _, operation in ipairs(batch.operations) do
    for _, event in ipairs(operation.kind == "append" and operation.events or {}) do
      local stored = self.state.events[self.state.position_of[event.id]]
      local name = operation.stream and state.resolve(self.state, operation.stream, operation.raw)
      known = known or stored
      missing = missing or not stored
      if stored and not is_same(self.state, stored, event, name) then
        different = different or stored
      end
    end
  end
  if not known then return nil end
  if different or missing then
    local event = different or known
    rules.refuse("duplicate_event", "the id " .. event.id .. " is taken",
      { event_id = event.id, stream = event.stream })
  end
  local receipt = rules.copy(self.receipts[known.sequence])
  receipt.is_replay = true
  return receipt
end

function Store:batch(fill)
  local batch = new_batch(self)
  if not fill then return batch end
  fill(batch)
  if #batch.conditions + #batch.operations == 0 then return nil end
  return batch:commit()
end

for _, verb in ipairs { "append", "link", "unlink", "delete_stream", "truncate", "overwrite",
  "set_stream_metadata" } do
  Store[verb] = function(self, ...)
    local batch = new_batch(self)
    return batch[verb](batch, ...):commit()
  end
end
Store.publish = Store.append

function Store:set_route(route, stream, options)
  local batch, expected = new_batch(self), (options or {}).expected
  if expected ~= nil then batch:expect_route(route, expected or nil) end
  return batch:set_route(route, stream, options):commit()
end

function Store:put_row(table_name, key, value, options)
  local batch, version = new_batch(self), (options or {}).version
  if version then batch:expect_row(table_name, key, version) end
  return batch:put_row(table_name, key, value):commit()
end

function Store:set_checkpoint(name, position, options)
  local batch, expected = new_batch(self), (options or {}).expected
  if expected then batch:expect_checkpoint(name, expected) end
  return batch:set_checkpoint(name, position):commit()
end

-- The store: questions ------------------------------------------------------------------------

function Store:read() return read.specification(function() return self.state end) end

function Store:snapshot()
  local instant = self.state
  return setmetatable({
    read = function() return read.specification(function() return instant end) end,
    close = function() end,
  }, { __close = function() end })
end

function Store:head() return #self.state.events end
function Store:wait(position) return self:head() > position and self:head() or nil end
function Store:position(id) return self.state.position_of[rules.check_id(id)] end
function Store:has_event(id) return self:position(id) ~= nil end

function Store:event(id)
  local position = self:position(id)
  return position and read.present(self.state, read.view(self.state, position))
end

function Store:revision(id, stream, options)
  local name = rules.check_name(stream, "stream")
  local position = self:position(id)
  name = state.resolve(self.state, name, options and options.raw)
  local entry = position and state.find_entry(self.state, name, position)
  return entry and entry.revision
end

function Store:streams_of(id)
  local position = self:position(id)
  return position and state.streams_of(self.state, position) or {}
end

function Store:last_event(stream) return self:read():stream(stream):last() end

function Store:stream_version(stream, options)
  rules.check_name(stream, "stream")
  return state.version(self.state, state.resolve(self.state, stream, options and options.raw))
end

function Store:stream_metadata(stream, options)
  rules.check_name(stream, "stream")
  local found = self.state.streams[state.resolve(self.state, stream, options and options.raw)]
  return found and found.metadata
end

function Store:route(name)
  return self.state.routes[rules.check_name(name, "route")], self.state.closed[name]
end

function Store:row(table_name, key)
  local rows = self.state.tables[rules.check_name(table_name, "table")] or {}
  local row = rows[rules.check_key(key)]
  if row then return row.value, row.version end
end

function Store:checkpoint(name)
  return self.state.checkpoints[rules.check_name(name, "checkpoint")] or 0
end

-- The store: directories ----------------------------------------------------------------------

--- Iterates over the lines { name, ... } in the order of bytes, as the options say.
local function directory(lines, options)
  options = options or {}
  local prefix, after, chosen = options.prefix or "", options.after, {}
  table.sort(lines, function(a, b) return a[1] < b[1] end)
  for _, line in ipairs(lines) do
    local wanted = line[1]:sub(1, #prefix) == prefix and (not after or line[1] > after)
    if wanted and (not options.limit or #chosen < options.limit) then chosen[#chosen + 1] = line end
  end
  local index = 0
  return function()
    index = index + 1
    if chosen[index] then return table.unpack(chosen[index]) end
  end
end

local function lines_of(map, line)
  local lines = {}
  for name, value in pairs(map) do lines[#lines + 1] = { name, line(value, name) } end
  return lines
end

local function identity(value) return value end

function Store:streams(options)
  local shown = {}
  for name, stream in pairs(self.state.streams) do
    if #stream.entries > 0 or stream.metadata ~= nil then shown[name] = stream end
  end
  return directory(lines_of(shown, function(stream, name)
    return #stream.entries, state.version(self.state, name)
  end), options)
end

local function tally(events, names_of)
  local counts = {}
  for _, event in ipairs(events) do
    for _, name in ipairs(names_of(event)) do counts[name] = (counts[name] or 0) + 1 end
  end
  return lines_of(counts, identity)
end

function Store:types(options)
  return directory(tally(self.state.events, function(e) return { e.type } end), options)
end

function Store:tags(options)
  return directory(tally(self.state.events, function(e) return e.tags end), options)
end

function Store:routes(options)
  return directory(lines_of(self.state.routes, function(stream, name)
    return stream, self.state.closed[name]
  end), options)
end


function Store:checkpoints(options)
  return directory(lines_of(self.state.checkpoints, identity), options)
end

function Store:rows(table_name, options)
  local rows = self.state.tables[rules.check_name(table_name, "table")] or {}
  return directory(lines_of(rows, function(row) return row.value, row.version end), options)
end

--- The counts that `tycho.Store.stats` has too.
function Store:stats()
  local counts = { events = #self.state.events, sequence = self.state.sequence, streams = 0,
    entries = 0, links = 0, rows = 0, routes = 0 }
  for _, stream in pairs(self.state.streams) do
    if #stream.entries > 0 then counts.streams = counts.streams + 1 end
    for _, entry in ipairs(stream.entries) do
      counts.entries = counts.entries + 1
      if entry.is_link then counts.links = counts.links + 1 end
    end
  end
  for _, rows in pairs(self.state.tables) do
    for _ in pairs(rows) do counts.rows = counts.rows + 1 end
  end
  for _ in pairs(self.state.routes) do counts.routes = counts.routes + 1 end
  return counts
end

function Store:verify() return { findings = {}, events = #self.state.events } end

follow.attach(Store)
switch.attach(Store)
scripts.attach(Store)

return model
