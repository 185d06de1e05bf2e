--- Followers and locks of the model: `attach(Store)` gives it follow, lock and locks.
---
--- A follower that has served all there is keeps of a stream: the resolved name, which of the
--- streams that had it (`born`), the revision to look at next, and the position of the event that
--- it served last. tycho.h, section 9, says what follows from them.

local read = require "support.model_read"
local rules = require "support.model_rules"
local state = require "support.model_state"

-- Followers -----------------------------------------------------------------------------------

local Follower = {}
Follower.__index = Follower

local function matches(self, event)
  local options = self.options
  if options.from_position and event.position <= options.from_position then return false end
  return rules.query_matches({ { types = options.types, tags = options.tags } }, event)
end

local function serve_log(self, s)
  for position = self.low, #s.events do
    local event = read.view(s, position)
    if matches(self, event) then self.waiting[#self.waiting + 1] = event end
  end
  self.low = #s.events + 1
end

local function first_from(entries, revision)
  for _, entry in ipairs(entries) do
    if entry.revision >= revision then return entry end
  end
end

--- Whether a stream looks like an image of the one that was read: what it has in front of the
--- place, or else behind it, that one has at the same revision.
local function is_image(self, s, entries)
  local old, own = s.streams[self.name], nil
  if not old or old.born ~= self.born then return false end
  for _, entry in ipairs(entries) do
    if entry.revision < self.low then own = entry end
  end
  own = own or first_from(entries, self.low)
  local other = own and first_from(old.entries, own.revision)
  return other ~= nil and other.revision == own.revision and other.position == own.position
end

--- The first revision to look at in the stream that the name leads to now, and the position behind
--- which its events must be.
local function place(self, s, name, stream)
  local is_same = self.born == nil or self.born == stream.born
  if name == self.name then return is_same and self.low or 0, 0 end
  if not self.passed then return 0, 0 end
  local entry = state.find_entry(s, name, self.passed)
  if entry then return entry.revision + 1, 0 end
  if is_image(self, s, stream.entries) then return self.low, 0 end
  return 0, self.passed
end

local function serve_stream(self, s)
  local name = state.resolve(s, self.options.stream)
  local stream = s.streams[name]
  if not stream or #stream.entries == 0 and name ~= self.name then return end
  local low, floor = place(self, s, name, stream)
  for _, entry in ipairs(stream.entries) do
    local event = read.view(s, entry.position, entry)
    if entry.revision >= low and event.position > floor and matches(self, event) then
      self.waiting[#self.waiting + 1], self.passed = event, entry.position
    end
  end
  self.name, self.born, self.low = name, stream.born, stream.next
end

--- The next event of those that there are now; nil: there is none.
function Follower:next()
  if #self.waiting == 0 then
    local s = self.store.state
    if self.options.stream then serve_stream(self, s) else serve_log(self, s) end
  end
  local event = table.remove(self.waiting, 1)
  return event and read.present(self.store.state, event)
end

function Follower.key() return nil end

--- One that is opened anew by its key, and has not served anything, takes the entry in front of its
--- place for served.
function Follower:resume()
  local s = self.store.state
  local name = self.options.stream and state.resolve(s, self.options.stream)
  if not name or name ~= self.name or self.passed then return end
  for _, entry in ipairs(state.entries(s, name)) do
    if entry.revision < self.low and s.streams[name].born == self.born then
      self.passed = entry.position
    end
  end
end

function Follower.close() end

local function follow(store, options)
  local self = { store = store, options = options, waiting = {}, low = 1 }
  if options.stream then
    self.low, self.name = 0, state.resolve(store.state, options.stream)
    self.born = (store.state.streams[self.name] or {}).born
  end
  return setmetatable(self, Follower)
end

-- Locks ---------------------------------------------------------------------------------------

local Lock = {}
Lock.__index = Lock

function Lock:token() return self.given end

function Lock:release()
  local locks = self.store.state.locks
  if locks[self.name] == self.given then locks[self.name] = nil end
end

--- All are asked for by one thread, and without waiting.
local function lock(store, name)
  rules.check_name(name, "lock")
  if store.state.locks[name] then rules.refuse("busy", "the lock is held by this thread") end
  store.tokens = (store.tokens or 0) + 1
  store.state.locks[name] = store.tokens
  return setmetatable({ store = store, name = name, given = store.tokens }, Lock)
end

local function locks(store)
  local list = {}
  for name in pairs(store.state.locks) do list[#list + 1] = { name = name } end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

return {
  attach = function(Store)
    Store.follow, Store.lock, Store.locks = follow, lock, locks
    --- Closing a store releases its locks.
    function Store.close(store) store.state.locks = {} end
  end,
}
