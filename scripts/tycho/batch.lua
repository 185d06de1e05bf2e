--- Conditions and operations that are committed together. The box of the batch (batch.c) does the
--- work; here are names, options and what is taken from the store: the metadata of the moment.
local check = require "tycho.check"
local core = require "tycho.core"

core.own()

---@class tycho.Batch
---@field private box userdata
---@field private store tycho.Store
local Batch = { __name = "tycho.Batch" }
Batch.__index = Batch

-- The options that a method knows.
local RAW, EXPECTED = { "raw" }, { "expected_version", "raw" }
local LINK = { "expected_version", "on_duplicate", "raw" }
local RANGE = { "expected_version", "on_duplicate", "keep_revisions", "raw" }

local function new(store)
  return setmetatable({ box = core.batch(), store = store }, Batch)
end

local function box_of(self)
  return check.self(self, Batch).box
end

-- ---------------------------------------------------------------- conditions

function Batch:expect(stream, expected_version, options)
  local box = box_of(self)
  options = check.options(options, RAW)
  if expected_version == nil then core.misuse("expected_version is missing") end
  box:expect(stream, check.expected_version(expected_version), check.flags(options))
  return self
end

function Batch:expect_none(query, after)
  box_of(self):expect_none(check.query(query), check.integer(after, "after", 0))
  return self
end

function Batch:expect_route(route, stream)
  box_of(self):expect_route(route, stream)
  return self
end

function Batch:expect_row(table_name, key, version)
  box_of(self):expect_row(table_name, key, check.integer(version, "version", 0))
  return self
end

function Batch:expect_checkpoint(name, position)
  box_of(self):expect_checkpoint(name, check.integer(position, "position", 0))
  return self
end

function Batch:expect_lock(name, token)
  box_of(self):expect_lock(name, check.integer(token, "token", 1))
  return self
end

-- ---------------------------------------------------------------- operations

function Batch:append(stream, events, options)
  local box = box_of(self)
  options = check.options(options, EXPECTED)
  box:append(stream, check.expected_version(options.expected_version), events,
    check.flags(options), self.store.context:current())
  return self
end

function Batch:link(stream, event_ids, options)
  local box = box_of(self)
  options = check.options(options, LINK)
  box:link(stream, check.expected_version(options.expected_version), event_ids,
    check.flags(options))
  return self
end

function Batch:link_range(source, first, last, target, options)
  local box = box_of(self)
  options = check.options(options, RANGE)
  box:link_range(source, check.integer(first, "first", 0), check.integer(last or -1, "last", -1),
    target, check.expected_version(options.expected_version), check.flags(options))
  return self
end

function Batch:link_merged(sources, target, options)
  local box = box_of(self)
  options = check.options(options, LINK)
  local names, first = {}, {}
  for i, source in ipairs(check.table(sources, "sources")) do
    local place = ("sources[%d]"):format(i)
    names[i] = check.name(check.table(source, place)[1], place .. "[1]")
    first[i] = check.integer(source[2] or 0, place .. "[2]", 0)
  end
  box:link_merged(names, first, target, check.expected_version(options.expected_version),
    check.flags(options))
  return self
end

function Batch:unlink(stream, event_ids, options)
  local box = box_of(self)
  box:unlink(stream, event_ids, check.flags(check.options(options, RAW)))
  return self
end

function Batch:delete_stream(stream, options)
  local box = box_of(self)
  options = check.options(options, EXPECTED)
  local flags = check.flags(options)
  local expected = check.expected_version(options.expected_version)
  if options.expected_version ~= nil then box:expect(stream, expected, flags) end
  box:delete_stream(stream, flags)
  return self
end

function Batch:truncate(stream, before, options)
  local box = box_of(self)
  box:truncate(stream, check.integer(before, "before", 0),
    check.flags(check.options(options, RAW)))
  return self
end

function Batch:set_stream_metadata(stream, metadata, options)
  local box = box_of(self)
  box:set_stream_metadata(stream, metadata, check.flags(check.options(options, RAW)))
  return self
end

function Batch:set_route(route, stream, options)
  local box = box_of(self)
  box:set_route(route, stream, check.flags(check.options(options, { "closed" })))
  return self
end

function Batch:put_row(table_name, key, value)
  local box = box_of(self)
  if value == nil then core.misuse("value is missing (delete_row removes a row)") end
  box:put_row(table_name, key, value)
  return self
end

function Batch:delete_row(table_name, key)
  box_of(self):delete_row(table_name, key)
  return self
end

function Batch:set_checkpoint(name, position)
  box_of(self):set_checkpoint(name, check.integer(position, "position", 0))
  return self
end

function Batch:overwrite(events)
  box_of(self):overwrite(events)
  return self
end

-- ---------------------------------------------------------------- the whole batch

function Batch:set_idempotent(idempotent)
  box_of(self):set_idempotent(idempotent == nil or check.boolean(idempotent, "idempotent"))
  return self
end

function Batch:encode() return box_of(self):encode() end

function Batch:decode(bytes)
  box_of(self):decode(bytes)
  return self
end

function Batch:clear()
  box_of(self):clear()
  return self
end

--- A batch that was decoded does not know the ids of its events; they are read then.
function Batch:commit()
  local receipt = box_of(self):commit(self.store.box)
  if #receipt.event_ids < receipt.event_count then
    receipt.event_ids = self.store:read():from_position(receipt.first_position - 1)
      :limit(receipt.event_count):map(function(event) return event.id end)
  end
  return receipt
end

function Batch:close() box_of(self):close() end

Batch.__close = Batch.close

function Batch:__tostring()
  return ("tycho.Batch: %p%s"):format(self.box, self.box:is_open() and "" or " (closed)")
end

return { new = new }
