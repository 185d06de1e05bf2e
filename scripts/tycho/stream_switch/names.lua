--- What the stream switches ask about names: what a stream has under its own name, where names
--- lead, and whether one stream is the image of another.
local core = require "tycho.core"
local check = require "tycho.check"

core.own()

local names = {}

--- The one line of a directory with this very name, without the name.
local function find(store, kind, name)
  local next_item, _, _, listing = store.box:listing(kind, { prefix = name, exact = true })
  local _ <close> = listing
  return select(2, next_item())
end

--- Entries of a stream, taken by its own name, and its version; 0, -1 when it was never used.
---@return integer count, integer version
function names.facts(store, stream)
  return find(store, "streams", stream) or 0, store:stream_version(stream, { raw = true })
end

--- Where a name leads in the end; itself when it is no route.
function names.resolve(store, name)
  return store.box:resolve(name)
end

--- The revision of the first entry behind a revision, by the stream's own name; nil: there is none.
function names.next_revision(store, stream, behind)
  local event = store:read():stream(stream):raw():from_revision(behind):first()
  return event and event.revision
end

--- How many entries, at most, a stream has behind a revision: gaps before the first one and behind
--- the last one are none.
function names.left(store, stream, behind)
  local first = names.next_revision(store, stream, behind)
  return first and store:stream_version(stream, { raw = true }) + 1 - first or 0
end

--- The revision of the last entry before a revision, likewise.
function names.last_revision(store, stream, before)
  local event = store:read():stream(stream):raw():backward():from_revision(before):first()
  return event and event.revision
end

--- All routes that lead to one of the streams, over others too, by name: a list of
--- {name, stream, closed}.
---@param streams table<string, boolean>
function names.leading_to(store, streams)
  local routes, order, found = {}, {}, {}
  for name, stream, closed in store:routes() do
    local route = { name = name, stream = stream, closed = closed }
    routes[name], order[#order + 1] = route, route
  end
  for _, route in ipairs(order) do
    local hop, path = route, {}
    while hop and hop.leads == nil do
      path[#path + 1] = hop
      hop.leads = streams[hop.stream] or false
      if hop.leads then break end
      hop = routes[hop.stream]
    end
    local leads = hop ~= nil and hop.leads
    for _, passed in ipairs(path) do passed.leads = leads end
    if route.leads then found[#found + 1] = route end
  end
  return found
end

--- Refuses a source that is not a stream under its own name.
function names.check_source(store, source)
  local stream = names.resolve(store, source)
  if stream ~= source then
    check.refuse("invalid_argument", ("%q is a route: it leads to the stream %q"):format(source,
      stream), "name the stream itself")
  end
  local count, version = names.facts(store, source)
  if count > 0 then return end
  check.refuse("not_found", ("the stream %q %s"):format(source,
    version < 0 and "does not exist" or "has no entries"), "check the name: tycho streams")
end

--- Refuses a target that leads elsewhere than to one of the sources.
---@param sources table<string, boolean>
function names.check_target(store, target, sources)
  local stream = names.resolve(store, target)
  if stream == target or sources[stream] then return end
  check.refuse("invalid_argument", ("%q is a route: it leads to the stream %q"):format(target,
    stream), "remove the route, or choose another name")
end

local function is_same(event, other)
  return other ~= nil and event.id == other.id and event.revision == other.revision
end

--- Whether what a stream has up to the version of its image is exactly what the image has, by their
--- number, the first one and the last one. Both are taken by their own names, in one snapshot.
function names.looks_like_image(store, stream, image, version)
  local snapshot <close> = store:snapshot()
  local own, other = snapshot:read():stream(stream):raw(), snapshot:read():stream(image):raw()
  local first, last = other:first(), other:last()
  if not first or not is_same(first, own:first()) then return false end
  if not is_same(last, own:from_revision(last.revision - 1):first()) then return false end
  return own:count() - own:from_revision(version):count() == other:count()
end

--- The same by each entry.
function names.is_image(store, stream, image, version)
  if not names.looks_like_image(store, stream, image, version) then return false end
  local next_event, _, _, listing = store:read():stream(stream):raw():each()
  local _ <close> = listing
  for event in store:read():stream(image):raw():each() do
    if not is_same(event, next_event()) then return false end
  end
  return true
end

--- Whether a stream has another event at the revision where one was linked: it was deleted since,
--- and written to anew.
function names.is_replaced(store, stream, revision, id)
  if revision < 0 then return false end
  if store:stream_version(stream, { raw = true }) < revision then return true end
  local event = store:read():stream(stream):raw():from_revision(revision - 1):first()
  return event ~= nil and event.revision == revision and event.id ~= id
end

--- Lists of names that have the same members.
function names.same(one, other)
  local members = {}
  if #one ~= #other then return false end
  for _, name in ipairs(one) do members[name] = true end
  for _, name in ipairs(other) do
    if not members[name] then return false end
  end
  return true
end

--- A set of the names of a list.
function names.set(list)
  local set = {}
  for _, name in ipairs(list) do set[name] = true end
  return set
end

return names
