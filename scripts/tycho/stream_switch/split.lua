--- The plan of a split: a rule says for each event of the source into which stream it is linked.
---
--- The row has {kind, sources = {source}, phase, forward, linked, first, last, rule_version}: all
--- entries before the revision `first` went through the rule, the last of them with the id `last`.
---
--- The rule is Lua and cannot run under the writer lock, so the last batch is conditional on the
--- source's version and is made anew when a publisher was faster. When that goes on, what came in
--- between is linked into the default stream, where all that is published later goes anyway.
local check = require "tycho.check"
local core = require "tycho.core"
local machine = require "tycho.stream_switch.machine"
local names = require "tycho.stream_switch.names"

core.own()

local LATE = 10 -- last batches that were made anew for a publisher who was faster
local REST = "/rest" -- where the source's name leads when there is no default

local Split = { kind = "split" }
Split.__index = Split

local function new(store, options)
  return setmetatable({
    store = store, key = "split\0" .. options.source, source = options.source,
    sources = { options.source }, target = options.default or options.source .. REST,
    rule = options.rule, rule_version = options.rule_version, late = false,
    forward = options.default ~= nil and options.forward, closes_routes = options.default == nil,
  }, Split)
end

function Split:title() return ("%q"):format(self.source) end

function Split:is_own(row) return row.kind == "split" and row.sources[1] == self.source end

function Split:begin(row)
  if row and row.phase ~= "linking" and self.store:route(self.source)
    and names.resolve(self.store, self.source) == self.target then
    return row
  end
  names.check_source(self.store, self.source)
  names.check_target(self.store, self.target, { [self.source] = true })
  self.target_route = self.store:route(self.target)
  if row and row.phase == "linking" then
    if row.rule_version ~= self.rule_version then
      check.refuse("condition_failed", ("the split of %q was begun with another rule"):format(
        self.source), "go on with that one, or cancel the split with it")
    end
    row.forward = self.forward
    return row
  end
  return {
    kind = "split", sources = { self.source }, phase = "linking", forward = self.forward,
    linked = 0, first = 0, last = "", rule_version = self.rule_version,
  }
end

function Split:measure(row)
  return names.left(self.store, self.source, row.first - 1), (names.facts(self.store, self.source))
end

function Split.linked(_, row) return row.linked end

function Split:expect(batch)
  batch:expect_route(self.source, nil):expect_route(self.target, self.target_route)
end

--- The stream that the rule names for an event, checked; nil for none.
local function apply_rule(self, event)
  local ok, stream = pcall(self.rule, event)
  local problem
  if not ok then
    if type(stream) == "string" and stream:find("interrupted!$") then error(stream, 0) end
    problem = tostring(stream)
  elseif stream == nil then
    return nil
  elseif type(stream) ~= "string" or stream == "" then
    problem = ("it gave %s, not the name of a stream or nil"):format(
      stream == "" and "an empty string" or type(stream))
  elseif stream ~= self.target and names.resolve(self.store, stream) == self.source then
    problem = ("%q is the stream that is split"):format(stream)
  else
    return stream
  end
  check.refuse("invalid_argument",
    ("the rule failed at the event %s (position %d, revision %d): %s"):format(event.id,
      event.position, event.revision, problem), "mend the rule and call again")
end

--- Adds links for the next entries, at most `count`, that a snapshot has.
local function add_links(self, batch, row, count)
  if names.is_replaced(self.store, self.source, row.first - 1, row.last) then
    check.refuse("condition_failed", ("the stream %q was deleted while it was split"):format(
      self.source), "cancel the split, and begin it again")
  end
  local order, ids = {}, {}
  local entries = self.store:read():stream(self.source):raw():from_revision(row.first - 1)
  for event in entries:limit(math.max(count, 1)):each() do
    local stream = apply_rule(self, event)
    if stream and not ids[stream] then
      order[#order + 1], ids[stream] = stream, {}
    end
    if stream then table.insert(ids[stream], event.id) end
    row.linked, row.first = row.linked + (stream and 1 or 0), event.revision + 1
    row.last = event.id
  end
  for _, stream in ipairs(order) do
    batch:link(stream, ids[stream], { on_duplicate = "skip", raw = stream == self.target })
  end
end

function Split:link(batch, row, count) add_links(self, batch, row, count) end

function Split:finish(batch, row)
  local version = self.store:stream_version(self.source, { raw = true })
  add_links(self, batch, row, version + 1 - row.first)
  if self.late then
    batch:link_range(self.source, row.first, nil, self.target, { raw = true,
      on_duplicate = "skip" })
  else
    batch:expect(self.source, version, { raw = true })
  end
end

--- A publisher was faster: made anew, and in the end without that condition.
function Split:explain(err, tries)
  if tries and err.code == "wrong_expected_version" then
    self.late = tries >= LATE and self.forward
    return true
  end
  if err.code == "condition_failed" then
    check.refuse("condition_failed", ("the routes of %q were changed meanwhile"):format(
      self.source), "see tycho route list, and call again")
  end
  return false
end

--- Takes out what the rule links, chunk by chunk from the end, as far as it was done.
function Split:cancel(switch, row)
  local chunk = 1000
  while row.first > 0 do
    local from = math.max(row.first - chunk, 0)
    local order, ids = {}, {}
    local entries = self.store:read():stream(self.source):raw():from_revision(from - 1)
    for event in entries:to_revision(row.first):each() do
      local stream = apply_rule(self, event)
      local is_linked = stream and names.resolve(self.store, stream) ~= event.stream
        and self.store:revision(event.id, stream)
      if is_linked then
        if not ids[stream] then order[#order + 1], ids[stream] = stream, {} end
        table.insert(ids[stream], event.id)
      end
    end
    row.first = from
    machine.commit(switch, row, function(batch)
      for _, stream in ipairs(order) do batch:unlink(stream, ids[stream]) end
    end)
  end
  machine.commit(switch, nil, function() end)
end

return { new = new }
