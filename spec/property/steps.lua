--- Makes the steps of a random history. A step is plain data, so that it can be repeated, left out
--- and printed:
---
---   { kind = "batch", calls = { call ... }, idempotent = boolean, elsewhere = true: committed by
---     another process, encoded = true: as bytes that were decoded }
---   { kind = "read", chain = { call ... }, terminal = call, at = true for the last snapshot }
---   { kind = "page", chain = { call ... }, size = integer }      all pages, one after the other
---   { kind = "first_page", chain, size }, { kind = "next_page" } with other steps in between
---   { kind = "snapshot" }    taken, and kept until the next one or until the store is closed
---   { kind = "ask" or "list", call = call }
---   { kind = "dump" }, { kind = "verify" }, { kind = "reopen" }
---   and those of property/verbs.lua
---
--- A call is { method, argument ..., n = how many }. A step is chosen with a look at the model, so
--- that most of what is written is accepted and most of what is asked for exists.

local makers = require "property.verb_steps"
local state = require "support.model_state"

local steps = {}

local function call(method, ...) return table.pack(method, ...) end

local Maker = {}
Maker.__index = Maker

local WEIGHTS = { batch = 50, resubmission = 3, read = 25, page = 6, ask = 8, list = 6,
  snapshot = 2, first_page = 2, next_page = 4 }

local function weights_of(profile)
  local weights = {}
  local of_scripts = profile.scripts and makers.script_weights or {}
  for _, list in ipairs { WEIGHTS, makers.weights, of_scripts } do
    for kind, weight in pairs(list) do weights[kind] = weight end
  end
  return weights
end

--- A maker of steps for a profile; `model` is the store that it looks at.
function steps.maker(random, profile, model)
  return setmetatable({ random = random, profile = profile, model = model, ids = 0, past = {},
    weights = weights_of(profile) }, Maker)
end

-- Words ---------------------------------------------------------------------------------------

function Maker:number(prefix, count) return prefix .. self.random:between(1, count) end

function Maker:stream()
  if self.random:chance(12) then return self:number("r", self.profile.routes) end
  return self:number("s", self.profile.streams)
end

function Maker:type() return self:number("type", self.profile.types) end

--- Under scripts some events have a former name of their type.
function Maker:type_to_write()
  local name = self:type()
  return self.profile.scripts and self.random:chance(8) and name:gsub("type", "old") or name
end

function Maker:table() return self:number("table", 2) end
function Maker:key() return self:number("k", 4) end
function Maker:checkpoint_name() return self:number("c", 3) end
function Maker:time() return self.random:between(1, self.profile.times) end

function Maker:new_id()
  self.ids = self.ids + 1
  return "e" .. self.ids
end

--- The id of an event, mostly of one that exists, in `stream` if it can be.
function Maker:id(stream)
  local events = self.model.state.events
  if self.random:chance(4) or #events == 0 then return "unknown" end
  if self.random:chance(10) then return "e" .. self.ids end -- perhaps of this batch
  local entries = stream and state.entries(self.model.state, self:leads_to(stream)) or {}
  local entry = self.random:chance(70) and self.random:one(entries)
  local event = events[entry and entry.position or self.random:between(1, #events)]
  return event.stream == "$scripts" and "unknown" or event.id
end

function Maker:ids_of(most, stream)
  local list = {}
  for index = 1, self.random:between(1, most) do list[index] = self:id(stream) end
  return list
end

function Maker:leads_to(stream)
  local ok, name = pcall(state.resolve, self.model.state, stream)
  return ok and name or stream
end

function Maker:tags(most)
  local list = {}
  for index = 1, self.random:between(0, most) do
    list[index] = self:number("tag", self.profile.tags)
  end
  return list
end

function Maker:types()
  local list = {}
  for index = 1, self.random:between(0, 3) do list[index] = self:type() end
  return list
end

function Maker:query()
  local items = {}
  for index = 1, self.random:between(0, 3) do
    items[index] = { types = self:types(), tags = self:tags(3) }
  end
  return items
end

function Maker:event()
  local random = self.random
  local event = { id = self:new_id(), type = self:type_to_write(), time = self:time(),
    data = { n = self.ids } }
  if random:chance(4) then event.id = self:id() end
  if random:chance(40) then event.valid_time = self:time() end
  if random:chance(60) then event.tags = self:tags(self.profile.tags_max) end
  if self.profile.scripts and random:chance(20) then
    event.type, event.data.k = "M", random:between(1, 3)
    event.tags = { "k:" .. event.data.k }
    return event
  end
  if random:chance(20) then event.metadata = { by = "m" .. self.ids } end
  if random:chance(20) then event.correlation_id = self:id() end
  if random:chance(20) then event.causation_id = self:id() end
  local size = random:one(self.profile.sizes)
  if size > 0 then event.data.text = string.char(97 + self.ids % 26):rep(size) end
  if random:chance(10) then
    event.content_type, event.data = "text/plain", event.data.text or "short"
  end
  return event
end

function Maker:events()
  local list = {}
  for index = 1, self.random:between(1, self.profile.events_max) do list[index] = self:event() end
  return list
end

--- A version to expect: mostly the one that the stream has.
function Maker:version(stream)
  local choice = self.random:weighted { right = 50, none = 10, exists = 15, any = 10, wrong = 8 }
  if choice ~= "right" and choice ~= "wrong" then return choice end
  local version = state.version(self.model.state, self:leads_to(stream))
  if choice == "wrong" then version = version + self.random:one { -1, 1, 2 } end
  return version >= 0 and version or "none"
end

function Maker:options(stream, more)
  local options = more or {}
  if self.random:chance(30) then options.expected_version = self:version(stream) end
  if self.random:chance(8) then options.raw = true end
  return next(options) and options or nil
end

function Maker:raw() return self.random:chance(8) and { raw = true } or nil end

function Maker:link_options(stream)
  return self:options(stream, self.random:chance(40) and { on_duplicate = "skip" } or nil)
end

-- Writing -------------------------------------------------------------------------------------

local writes = {}

function writes.append(self)
  if self.random:chance(6) then return call("append", nil, self:events()) end
  local stream = self:stream()
  return call("append", stream, self:events(), self:options(stream))
end

function writes.link(self)
  local stream = self:stream()
  return call("link", stream, self:ids_of(4), self:link_options(stream))
end

function writes.link_range(self)
  local source, target = self:stream(), self:stream()
  local last = self.random:chance(50) and self.random:between(0, 12) or nil
  local first = self.random:between(0, last or 6)
  local options = self:link_options(target)
  if self.random:chance(40) then
    options = options or {}
    options.keep_revisions = true
  end
  return call("link_range", source, first, last, target, options)
end

function writes.link_merged(self)
  local sources = {}
  for index = 1, self.random:between(1, 3) do
    sources[index] = { self:stream(), self.random:between(0, 3) }
  end
  local target = self:stream()
  return call("link_merged", sources, target, self:link_options(target))
end

function writes.unlink(self)
  local stream = self:stream()
  return call("unlink", stream, self:ids_of(2, stream), self:raw())
end

function writes.delete_stream(self)
  local stream = self:stream()
  local options = self:raw()
  if self.random:chance(30) then
    options = options or {}
    options.expected_version = self:version(stream)
  end
  return call("delete_stream", stream, options)
end

function writes.truncate(self)
  local stream = self:stream()
  local version = state.version(self.model.state, self:leads_to(stream))
  return call("truncate", stream, self.random:between(0, version + 2), self:raw())
end

function writes.set_stream_metadata(self)
  local metadata = self.random:chance(70) and { n = self.random:between(1, 99) } or nil
  return call("set_stream_metadata", self:stream(), metadata, self:raw())
end

function writes.set_route(self)
  local route = self.random:chance(80) and self:number("r", self.profile.routes) or self:stream()
  local closed = self.random:chance(15) and { closed = true } or nil
  if closed then return call("set_route", route, self:stream(), closed) end
  return call("set_route", route, self.random:chance(75) and self:stream() or nil)
end

--- What is written in the place of what was there may be longer, or shorter, in the same batch.
function Maker:value()
  local value, size = { n = self.random:between(1, 99) }, self.random:one(self.profile.sizes)
  if size > 0 and self.random:chance(40) then value.text = ("v"):rep(size) end
  return value
end

function writes.put_row(self) return call("put_row", self:table(), self:key(), self:value()) end

function writes.delete_row(self) return call("delete_row", self:table(), self:key()) end

function writes.set_checkpoint(self)
  return call("set_checkpoint", self:checkpoint_name(), self.random:between(0, 20))
end

--- What read models folded stays as it was: they do not hear of events that are overwritten later.
function Maker:is_folded(id)
  local s = self.model.state
  local stored = s.events[s.position_of[id]]
  return stored and stored.type == "M"
end

function writes.overwrite(self)
  local list = {}
  for index, id in ipairs(self:ids_of(2)) do
    local event = { id = self:is_folded(id) and "nobody" or id, data = self:value(),
      type = self:type_to_write() }
    if self.random:chance(50) then event.valid_time = self:time() end
    if self.random:chance(20) then event.metadata = { by = "overwrite" } end
    if self.random:chance(10) then event.content_type, event.data = "text/plain", "changed" end
    list[index] = event
  end
  return call("overwrite", list)
end

function writes.expect(self)
  local stream = self:stream()
  return call("expect", stream, self:version(stream), self:raw())
end

function writes.expect_none(self)
  local head = #self.model.state.events
  return call("expect_none", self:query(), math.max(0, head - self.random:between(0, 5)))
end

function writes.expect_route(self)
  local route = self:number("r", self.profile.routes)
  local right = self.random:chance(70)
  local stream = not right and self:stream() or self.model.state.routes[route]
  return call("expect_route", route, stream)
end

function writes.expect_row(self)
  local name, key = self:table(), self:key()
  local _, version = self.model:row(name, key)
  if self.random:chance(20) then version = self.random:between(0, 30) end
  return call("expect_row", name, key, version or 0)
end

function writes.expect_checkpoint(self)
  local name = self:checkpoint_name()
  local right = self.random:chance(70)
  return call("expect_checkpoint", name,
    right and self.model:checkpoint(name) or self.random:between(0, 20))
end

function writes.expect_lock(self)
  return call("expect_lock", self:number("lock", 2), self.random:between(1, (self.grants or 0) + 1))
end

local WRITES = {
  append = 40, link = 18, link_range = 6, link_merged = 4, unlink = 8, delete_stream = 4,
  truncate = 4,
  set_stream_metadata = 3, set_route = 4, put_row = 5, delete_row = 2, set_checkpoint = 3,
  overwrite = 4, expect = 5, expect_none = 4, expect_route = 2, expect_row = 2,
  expect_checkpoint = 2, expect_lock = 2,
}

local function make_batch(self)
  local calls = {}
  local count = self.random:chance(55) and 1 or self.random:between(2, self.profile.calls_max)
  for index = 1, count do calls[index] = writes[self.random:weighted(WRITES)](self) end
  local step = { kind = "batch", calls = calls, elsewhere = self.random:chance(4) or nil,
    encoded = self.random:chance(10) or nil }
  if #calls == 1 and calls[1][1] == "append" then self.past[#self.past + 1] = step end
  return step
end

--- An earlier append once more, asking to be recognised.
local function make_resubmission(self)
  local earlier = self.random:one(self.past)
  if not earlier then return make_batch(self) end
  return { kind = "batch", calls = earlier.calls, idempotent = true }
end

-- Reading -------------------------------------------------------------------------------------

--- Steps of a read, each with the percentage in which it is there.
local CHAIN = {
  { 45, function(m) return call(m.random:one { "backward", "backward", "forward" }) end },
  { 30, function(m) return call("limit", m.random:between(1, 12)) end },
  { 10, function(m, stream) return call("from", m:id(stream)) end },
  { 10, function(m, stream) return call("to", m:id(stream)) end },
  { 15, function(m) return call("from_position", m.random:between(0, 30)) end },
  { 15, function(m) return call("to_position", m.random:between(0, 60)) end },
  { 20, function(m) return call("of_type", m:types()) end },
  { 20, function(m) return call("tagged", m:tags(2)) end },
  { 12, function(m) return call("matching", m:query()) end },
  { 10, function(m) return call("with_id", m:ids_of(5)) end },
  { 10, function(m) return call("older_than", m:time()) end },
  { 5, function(m) return call("older_than_or_equal", m:time()) end },
  { 10, function(m) return call("newer_than_or_equal", m:time()) end },
  { 5, function(m) return call("newer_than", m:time()) end },
  { 5, function(m) return call("between", m:time(), m:time()) end },
  { 15, function() return call("as_at") end },
  { 15, function() return call("as_of") end },
  { 10, function() return call("stored") end },
}

local STREAM_CHAIN = {
  { 10, function() return call("raw") end },
  { 15, function(m) return call("from_revision", m.random:between(-1, 8)) end },
  { 15, function(m) return call("to_revision", m.random:between(-1, 16)) end },
}

local function make_chain(self)
  local chain, stream = {}, nil
  local function add(list)
    for _, choice in ipairs(list) do
      if self.random:chance(choice[1]) then chain[#chain + 1] = choice[2](self, stream) end
    end
  end
  if self.random:chance(60) then
    stream = self:stream()
    chain[1] = call("stream", stream)
    add(STREAM_CHAIN)
  end
  add(CHAIN)
  return chain
end

local function has_limit(chain)
  for _, step in ipairs(chain) do
    if step[1] == "limit" then return true end
  end
  return false
end

local function make_read(self)
  local chain = make_chain(self)
  local terminal = self.random:weighted { all = 50, count = 20, first = 12, last = 18, event = 5,
    events = 5 }
  if has_limit(chain) and terminal:find("event") then terminal = "all" end
  local argument = terminal == "event" and self:id() or nil
  if terminal == "events" then argument = self:ids_of(4) end
  local at = self.random:chance(15) or nil
  -- In a snapshot events may be read as scripts say that were deployed since.
  if at and self.profile.scripts then chain[#chain + 1] = call("stored") end
  return { kind = "read", chain = chain, terminal = call(terminal, argument), at = at }
end

local function make_snapshot() return { kind = "snapshot" } end
local function make_next_page() return { kind = "next_page" } end

local function make_first_page(self)
  return { kind = "first_page", chain = make_chain(self), size = self.random:between(1, 5) }
end

local function make_page(self)
  return { kind = "page", chain = make_chain(self), size = self.random:between(1, 7) }
end

local ASKS = {
  function(m) return call("stream_version", m:stream(), m:raw()) end,
  function(m) return call("wait", m.random:between(0, 60), 0) end,
  function(m) return call("position", m:id()) end,
  function(m) return call("has_event", m:id()) end,
  function(m) return call("event", m:id()) end,
  function(m)
    local stream = m:stream()
    return call("revision", m:id(stream), stream, m:raw())
  end,
  function(m) return call("streams_of", m:id()) end,
  function(m) return call("last_event", m:stream()) end,
  function(m) return call("route", m:number("r", m.profile.routes)) end,
  function(m) return call("row", m:table(), m:key()) end,
  function(m) return call("checkpoint", m:checkpoint_name()) end,
  function(m) return call("stream_metadata", m:stream(), m:raw()) end,
  function() return call("head") end,
}

local function make_ask(self) return { kind = "ask", call = self.random:one(ASKS)(self) } end

local function make_list(self)
  local kind, random = self.random:one { "streams", "types", "tags", "routes", "checkpoints",
    "rows" }, self.random
  local prefix = kind:sub(1, 1)
  local options = {}
  if self.profile.scripts and kind == "streams" then options.prefix = "s" end
  if random:chance(30) then options.prefix = prefix .. random:one { "", "1", "2", "able1" } end
  if random:chance(30) then options.after = prefix .. random:between(1, 9) end
  if random:chance(30) then options.limit = random:between(1, 5) end
  if kind == "rows" then return { kind = "list", call = call(kind, self:table(), options) } end
  return { kind = "list", call = call(kind, options) }
end

local MAKERS = {
  batch = make_batch, resubmission = make_resubmission, read = make_read, page = make_page,
  ask = make_ask, list = make_list, snapshot = make_snapshot, first_page = make_first_page,
  next_page = make_next_page,
}
--- The next step. Now and then everything is compared, verified, closed and opened again.
function Maker:next(index)
  if index % 40 == 0 then return { kind = "dump" } end
  if index % 65 == 0 then return { kind = "verify" } end
  if index % 75 == 0 then return { kind = "reopen" } end
  local kind = self.random:weighted(self.weights)
  return (MAKERS[kind] or makers[kind])(self) or make_batch(self)
end

return steps
