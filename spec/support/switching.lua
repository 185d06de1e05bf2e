--- What the specs of rename, merge and split share: streams with events, what is read from them,
--- and what must hold in any case.

local assert = require "luassert"

local plain = require "support.plain"

local switching = {}

--- Appends events prefix<first> to prefix<last>.
function switching.fill(store, stream, prefix, last, first)
  local list = {}
  for index = first or 1, last do
    list[#list + 1] = { type = "filled", id = prefix .. index, data = { n = index } }
  end
  return store:append(stream, list)
end

--- The ids prefix<first> to prefix<last>.
function switching.ids(prefix, last, first)
  local list = {}
  for index = first or 1, last do list[#list + 1] = prefix .. index end
  return list
end

--- The ids that a name gives.
function switching.read(store, name) return plain.each(store:read():stream(name):all()) end

--- The ids that a stream has under its own name.
function switching.raw(store, stream)
  return plain.each(store:read():stream(stream):raw():all())
end

--- Revision and id of all that a stream has under its own name.
function switching.entries(store, stream)
  local list = {}
  for event in store:read():stream(stream):raw():each() do
    list[#list + 1] = event.revision .. " " .. event.id
  end
  return list
end

--- All routes as a map; a closed one leads to "closed NAME".
function switching.routes(store)
  local map = {}
  for name, stream, closed in store:routes() do
    map[name] = (closed and "closed " or "") .. stream
  end
  return map
end

--- The indexes are sound, and no lock is held.
function switching.check(store)
  assert.same({}, store:verify().findings)
  assert.same({}, store:locks())
end

return switching
