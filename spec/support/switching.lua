--- What the specs of rename, merge and split share: streams with events, what is read from them,
--- and what must hold in any case.

local assert = require "luassert"

local between = require "support.between"
local plain = require "support.plain"
local unchanged = require "support.unchanged"

local switching = {}

local TABLES = { "tycho.switches" }

--- Calls of store:rename, merge or split in small chunks, with the options that `defaults` gives.
--- `store()` is the store of the example.
---@param verb "rename"|"merge"|"split"
---@return fun(options?: table): tycho.SwitchStatus run
---@return fun(code: string, text: string, options?: table) refuses   and nothing is changed
---@return fun(count: integer, options?: table) break_off   after `count` reports of progress, as if
---                                                         the process had been killed
function switching.calls(verb, defaults, store)
  local function call(options)
    local given = { pause = 0 }
    for name, value in pairs(defaults) do given[name] = value end
    for name, value in pairs(options or {}) do given[name] = value end
    return store()[verb](store(), given)
  end

  local function run(options)
    local status = call(options)
    switching.check(store())
    return status
  end

  local function refuses(code, text, options)
    local err = unchanged(store(), code, function() call(options) end, TABLES)
    assert(tostring(err.message):find(text, 1, true), tostring(err.message))
    if err.what then assert.equal(("%s; %s"):format(err.what, err.advice), tostring(err)) end
    switching.check(store())
  end

  local function break_off(count, options)
    local given, seen = {}, 0
    for name, value in pairs(options or {}) do given[name] = value end
    function given.progress()
      seen = seen + 1
      if seen == count then error("broken off", 0) end
    end
    local ok, err = pcall(call, given)
    assert.is_false(ok)
    assert.equal("broken off", err)
    switching.check(store())
  end

  return run, refuses, break_off
end

--- Calls fn, which dies right before or after the commit of its n-th batch, if there is one;
--- whether there was.
---@param moment "before"|"after"
function switching.dies(store, moment, number, fn)
  local died = false
  local remove = between(store, { [moment] = function(count)
    if count ~= number then return end
    died = true
    error("died", 0)
  end })
  local ok, err = pcall(fn)
  remove()
  assert(ok ~= died and (ok or err == "died"), tostring(err))
  return died
end

--- A store that had a lock already: the first one reserves tokens, by a batch.
function switching.prepare(store)
  store:lock("any"):release()
  return store
end

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
