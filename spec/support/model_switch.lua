--- Renaming, merging and splitting streams in the model: what holds when it is done, as if nobody
--- could see it half done. `attach(Store)` gives it rename, merge and split.

local rules = require "support.model_rules"
local state = require "support.model_state"

--- The routes that lead to one of the streams, over others too: name -> true.
local function leading_to(s, streams)
  local found = {}
  for name in pairs(s.routes) do
    local hop = name
    while s.routes[hop] and not found[name] do
      hop = s.routes[hop]
      found[name] = streams[hop]
    end
  end
  return found
end

local function check_source(s, source)
  if s.routes[source] then rules.misuse(source .. " is a route") end
  if #state.entries(s, source) == 0 then rules.refuse("not_found", source .. " has no entries") end
end

local function check_target(s, target, sources)
  local stream = state.resolve(s, target)
  if stream ~= target and not sources[stream] then rules.misuse(target .. " is a route") end
end

--- The last batch of all three: the sources' names, and what leads to them, lead to the target.
local function switch_names(s, sources, target, forward, closes)
  local leading = leading_to(s, sources)
  s.routes[target], s.closed[target] = nil, nil
  for name in pairs(leading) do
    if name ~= target then
      s.routes[name], s.closed[name] = target, s.closed[name] or closes or nil
    end
  end
  for source in pairs(sources) do
    s.routes[source], s.closed[source] = target, not forward or nil
  end
end

--- Calls change(s) with a copy that becomes the state when it went well.
local function transact(store, change)
  local s = state.copy(store.state)
  s.sequence = s.sequence + 1
  change(s)
  store.state = s
end

-- Rename --------------------------------------------------------------------------------------

--- Whether `image` has the entries of `stream` up to its own version, and no others, nor revisions
--- beyond those of the stream.
local function is_image(s, stream, image)
  if state.version(s, image) > state.version(s, stream) then return false end
  local entries, others = state.entries(s, stream), state.entries(s, image)
  for index, other in ipairs(others) do
    local entry = entries[index] or {}
    if entry.revision ~= other.revision or entry.position ~= other.position then return false end
  end
  local next_entry = entries[#others + 1]
  return #others > 0 and not (next_entry and next_entry.revision <= state.version(s, image))
end

local function move(s, source, target, forward)
  local base = state.version(s, target)
  state.operations.link_range(s, { source = source, stream = target, first = base + 1, last = -1,
    raw = true, keep = true })
  local metadata = s.streams[source].metadata
  if metadata ~= nil or base ~= -1 then s.streams[target].metadata = metadata end
  switch_names(s, { [source] = true }, target, forward)
end

local function check_rename(s, source, target)
  if source == target then rules.misuse("the target is the source") end
  check_source(s, source)
  check_target(s, target, { [source] = true })
  local is_new = state.version(s, target) == -1
  if not is_new and not (s.routes[target] and is_image(s, source, target)) then
    rules.refuse("wrong_expected_version", target .. " has entries")
  end
end

local function rename(store, options)
  local source, target = options.source, options.target
  if options.undo then source, target = target, source end
  check_rename(store.state, source, target)
  if options.dry_run then return end
  transact(store, function(s)
    move(s, source, target, options.forward ~= false)
    if options.delete_source then s.streams[source] = nil end
  end)
end

-- Merge and split -----------------------------------------------------------------------------

local function merge(store, options)
  local sources, list = {}, {}
  for index, source in ipairs(options.sources) do
    if source == options.target or sources[source] then rules.misuse("named twice") end
    sources[source], list[index] = true, { source, 0 }
  end
  for _, source in ipairs(options.sources) do check_source(store.state, source) end
  check_target(store.state, options.target, sources)
  transact(store, function(s)
    state.operations.link_merged(s, { sources = list, stream = options.target, raw = true,
      skip = true })
    switch_names(s, sources, options.target, options.forward ~= false)
  end)
end

local function split(store, options)
  local source = options.source
  local target = options.default or source .. "/rest"
  check_source(store.state, source)
  check_target(store.state, target, { [source] = true })
  transact(store, function(s)
    for _, entry in ipairs(state.entries(s, source)) do
      local event = s.events[entry.position]
      local stream = options.rule(event)
      if stream then
        state.operations.link(s, { stream = stream, ids = { event.id }, skip = true })
      end
    end
    switch_names(s, { [source] = true }, target, options.default ~= nil, not options.default)
  end)
end

return {
  attach = function(Store) Store.rename, Store.merge, Store.split = rename, merge, split end,
}
