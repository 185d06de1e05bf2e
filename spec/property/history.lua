--- Runs a history of steps (see property/steps.lua) against two stores and says where they differ;
--- makes a failing history small; prints a history as Lua code.
---
--- A `box` holds a store: { store =, reopen = function(box), close = function(box), is_model = }.
--- Steps keep their snapshot, the key of their last page, locks, tokens and followers in it.

local literal = require "support.literal"
local plain = require "support.plain"
local refusal = require "support.refusal"
local verbs = require "property.verbs"

local history = {}

local TABLES = { "table1", "table2" }
local FACTS = { "event_id", "stream", "operation", "condition", "actual" }

local function invoke(target, call)
  return target[call[1]](target, table.unpack(call, 2, call.n))
end

local function read_of(source, chain)
  local read = source:read()
  for _, call in ipairs(chain) do read = invoke(read, call) end
  return read
end

-- One outcome a kind of step: plain values that must be equal ----------------------------------

local run = setmetatable({}, { __index = verbs.run })

--- The methods that add operations; true where the count of the result means something.
local COUNTED = {
  append = true, link = true, link_range = true, link_merged = true, unlink = true,
  delete_stream = true, truncate = true, put_row = true, delete_row = true, overwrite = true,
  set_route = false, set_checkpoint = false, set_stream_metadata = false,
}

--- A receipt of a batch of these calls. Whether one that is a replay knows its number is left open.
local function plain_receipt(receipt, calls)
  if not receipt then return nil end
  local result, index = { results = {} }, 0
  for _, field in ipairs { "sequence", "first_position", "event_count", "head", "event_ids",
    "is_replay" } do
    result[field] = receipt[field]
  end
  if receipt.is_replay then result.sequence, result.head = nil, nil end
  for _, call in ipairs(calls) do
    if COUNTED[call[1]] ~= nil then
      index = index + 1
      local part = receipt.results[index]
      result.results[index] = { first_position = part.first_position, previous = part.previous,
        first_revision = part.first_revision, count = COUNTED[call[1]] and part.count or nil }
    end
  end
  result.result_count = #receipt.results
  return result
end

function run.batch(box, step)
  return plain_receipt(box.store:batch(function(batch)
    if step.idempotent then batch:set_idempotent() end
    for _, call in ipairs(step.calls) do invoke(batch, call) end
    local is_encoded = step.encoded and #step.calls > 0 and not box.is_model
    if is_encoded then batch:decode(batch:encode()) end
  end), step.calls)
end

local function plain_answer(answer)
  if math.type(answer) or type(answer) ~= "table" and type(answer) ~= "userdata" then
    return answer
  end
  if answer.position then return plain.event(answer) end
  if answer[1] and answer[1].position then return plain.events(answer) end
  return answer
end

function run.read(box, step)
  local source = step.at and box.snapshot or box.store
  return { plain_answer(invoke(read_of(source, step.chain), step.terminal)) }
end

function run.snapshot(box)
  if box.snapshot then box.snapshot:close() end
  box.snapshot = box.store:snapshot()
end

local function take_page(box, read)
  local events, key = read:page(box.paging.size)
  box.paging.key = key
  return { plain.events(events), key ~= nil }
end

function run.first_page(box, step)
  box.paging = { chain = step.chain, size = step.size }
  return take_page(box, read_of(box.store, step.chain))
end

--- Goes on behind the last page, whatever was written since.
function run.next_page(box)
  if not box.paging or not box.paging.key then return nil end
  return take_page(box, read_of(box.store, box.paging.chain):resume(box.paging.key))
end

function run.page(box, step)
  local read, pages = read_of(box.store, step.chain), {}
  local resumed = read
  while resumed do
    local events, key = resumed:page(step.size)
    pages[#pages + 1] = plain.events(events)
    resumed = key and read:resume(key)
  end
  return pages
end

function run.ask(box, step)
  local answers = table.pack(invoke(box.store, step.call))
  local result = {}
  for index = 1, answers.n do result[index] = plain_answer(answers[index]) end
  if step.call[1] == "streams_of" then result = { plain.places(answers[1]) } end
  return result
end

function run.list(box, step) return plain.lines(invoke(box.store, step.call)) end

function run.dump(box) return plain.dump(box.store, TABLES) end

function run.verify(box) return box.store:verify().findings end

local function close_snapshot(box)
  if box.snapshot then box.snapshot:close() end
  box.snapshot = nil
end

--- Followers go on by their keys, and say what is new. Locks end with the store.
function run.reopen(box)
  local keys, news = {}, {}
  close_snapshot(box)
  for name, kept in pairs(box.followers) do
    keys[name] = kept.follower:key()
    kept.follower:close()
  end
  box:reopen()
  box.locks = {}
  for name in pairs(box.followers) do
    verbs.follow_on(box, name, keys[name])
    news[name] = verbs.run.drain(box, { name = name })
  end
  return { box.store:head(), news }
end

local function copy_with(step, field, value)
  local result = {}
  for key, member in pairs(step) do result[key] = member end
  result[field] = value
  return result
end

local function local_outcome(box, step)
  local ok, value = pcall(run[step.kind], box, step)
  if ok then return { value = value } end
  local err, facts = refusal.parse(value), {}
  if not err then return { mistake = tostring(value) } end
  if step.kind == "batch" then
    for _, name in ipairs(FACTS) do facts[name] = err[name] end
  end
  return { error = err.code, facts = facts }
end

--- What a step gives in a box: { value = ... }, or { error = code, facts = ... }. Facts belong to
--- the refusals of batches; tokens are numbers of grants in them.
function history.outcome(box, step)
  local given = step
  if step.kind == "batch" and box.tokens then
    given = copy_with(step, "calls", verbs.with_tokens(box, step.calls))
  end
  local is_elsewhere = step.elsewhere and box.elsewhere
  local outcome = is_elsewhere and box:elsewhere(given) or local_outcome(box, given)
  local facts = outcome.facts or {}
  if verbs.is_about_lock(step.calls or {}, facts.condition) then
    facts.actual = verbs.grant(box, facts.actual)
  end
  return outcome
end

-- Comparing -----------------------------------------------------------------------------------

local function short(value)
  local text = literal(value)
  return #text > 600 and text:sub(1, 600) .. " ..." or text
end

--- The first place where two plain values differ, as a sentence; nil when they are equal.
function history.difference(expected, actual, path)
  path = path or ""
  if type(expected) ~= "table" or type(actual) ~= "table" then
    if expected == actual and math.type(expected) == math.type(actual) then return nil end
    return ("%s: expected %s, got %s"):format(path, short(expected), short(actual))
  end
  local keys = {}
  for key in pairs(expected) do keys[#keys + 1] = key end
  for key in pairs(actual) do if expected[key] == nil then keys[#keys + 1] = key end end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(keys) do
    local found = history.difference(expected[key], actual[key], path .. "." .. tostring(key))
    if found then return found end
  end
end

--- Refusals must have the same code. Facts are compared where the model names them.
local function compare(expected, actual)
  if expected.mistake or actual.mistake then
    return "a mistake: " .. tostring(expected.mistake or actual.mistake)
  end
  if expected.error == nil or expected.error ~= actual.error then
    return history.difference(expected, actual, "outcome")
  end
  for name, fact in pairs(expected.facts) do
    local found = history.difference(fact, actual.facts[name], expected.error .. "." .. name)
    if found then return found end
  end
end

--- Runs one step in both boxes: nil, or how they differ.
function history.step(model_box, box, step)
  local actual
  model_box.ran, model_box.was_cancelled = nil, nil
  if step.during or step.broken then -- what came in time is for the engine to say
    actual = history.outcome(box, step)
    model_box.ran, model_box.was_cancelled = box.ran, box.was_cancelled
  end
  local expected = history.outcome(model_box, step)
  actual = actual or history.outcome(box, step)
  if verbs.adopts[step.kind] then
    model_box.store.state.sequence = box.store:stats().sequence
  end
  return compare(expected, actual)
end

--- Runs steps in new boxes: nil, or how they differ and in which kind of step ("close" at the end).
function history.run(open_model, open, steps)
  local model_box, box = open_model(), open()
  local found, kind
  for _, step in ipairs(steps) do
    found, kind = history.step(model_box, box, step), step.kind
    if found then break end
  end
  local damage = history.close(box)
  if found then return found, kind end
  return damage, damage and "close"
end

--- Closes a box with all that its steps kept; gives what its last check found, or nil.
function history.close(box)
  close_snapshot(box)
  local ok, damage = pcall(box.close, box)
  return not ok and tostring(damage) or nil
end

-- Making it small -----------------------------------------------------------------------------

local function without(list, first, last)
  local rest = {}
  for index, member in ipairs(list) do
    if index < first or index > last then rest[#rest + 1] = member end
  end
  return rest
end

--- Leaves out as many members of a list as still_fails allows (ddmin).
local function minimize(list, still_fails)
  local chunk = #list // 2
  while chunk >= 1 do
    local first = #list - chunk + 1
    while #list > 0 and first > -chunk do
      local smaller = without(list, math.max(first, 1), first + chunk - 1)
      if #smaller < #list and still_fails(smaller) then list = smaller end
      first = math.min(first, #list + 1) - chunk
    end
    chunk = chunk // 2
  end
  return list
end

--- Makes the lists inside of steps (`field` of each) small too.
local function minimize_inside(list, field, still_fails)
  for index = 1, #list do
    if list[index][field] then
      local function with(inner)
        local copy = table.move(list, 1, #list, 1, {})
        copy[index] = copy_with(list[index], field, inner)
        return copy
      end
      local inner = minimize(list[index][field], function(smaller)
        return still_fails(with(smaller))
      end)
      list = with(inner)
    end
  end
  return list
end

--- Makes the lists of events and ids that calls have as arguments small.
local function minimize_arguments(list, still_fails)
  for index = 1, #list do
    for place, call in ipairs(list[index].calls or {}) do
      for argument = 2, 3 do
        if type(call[argument]) == "table" and #call[argument] > 1 then
          local function with(inner)
            local calls = table.move(list[index].calls, 1, #list[index].calls, 1, {})
            calls[place] = copy_with(call, argument, inner)
            local copy = table.move(list, 1, #list, 1, {})
            copy[index] = copy_with(list[index], "calls", calls)
            return copy
          end
          list = with(minimize(call[argument], function(smaller)
            return #smaller > 0 and still_fails(with(smaller))
          end))
          call = list[index].calls[place]
        end
      end
    end
  end
  return list
end

--- Leaves out of steps what only makes them special.
local function drop_fields(list, still_fails)
  for index = 1, #list do
    for _, field in ipairs { "elsewhere", "at", "idempotent", "by_key", "broken", "cancel",
      "during", "encoded" } do
      if list[index][field] then
        local copy = table.move(list, 1, #list, 1, {})
        copy[index] = copy_with(list[index], field, nil)
        if still_fails(copy) then list = copy end
      end
    end
  end
  return list
end

--- What a difference is about: "outcome.value..revision" of "outcome.value.3.revision: expected 4,
--- got 5".
local function shape(difference)
  return (difference:match("^(.-): ") or difference):gsub("%d+", "")
end

--- The smallest history found that still fails, and how it fails. At most `tries` runs. A smaller
--- one must differ in the same kind of step or about the same thing: it may show another defect
--- otherwise.
function history.shrink(open_model, open, steps, tries)
  local left, found, wanted = tries or 2000, history.run(open_model, open, steps)
  local about = found and shape(found)
  local function fails(candidate)
    if left <= 0 then return false end
    left = left - 1
    local difference, kind = history.run(open_model, open, candidate)
    if not difference then return false end
    wanted, about = wanted or kind, about or shape(difference)
    if kind ~= wanted and shape(difference) ~= about then return false end
    found = difference
    return true
  end
  local small = minimize(steps, fails)
  small = minimize_inside(small, "calls", fails)
  small = minimize_inside(small, "chain", fails)
  small = minimize_inside(small, "during", fails)
  small = minimize_inside(small, "recipes", fails)
  small = drop_fields(minimize_arguments(small, fails), fails)
  small = minimize(small, fails)
  return small, history.run(open_model, open, small) or found
end

-- Printing ------------------------------------------------------------------------------------

local function call_text(call)
  local arguments = {}
  for index = 2, call.n do arguments[index - 1] = literal(call[index]) end
  return (":%s(%s)"):format(call[1], table.concat(arguments, ", "))
end

local function chain_text(step)
  local parts = { "store:read()" }
  for _, call in ipairs(step.chain) do parts[#parts + 1] = call_text(call) end
  return table.concat(parts)
end

local text = {}

function text.batch(step)
  local lines = { "store:batch(function(batch)" }
  if step.elsewhere then lines[1] = lines[1] .. " -- by another process" end
  if step.idempotent then lines[#lines + 1] = "  batch:set_idempotent()" end
  if step.encoded then lines[1] = lines[1] .. " -- encoded and decoded" end
  for _, call in ipairs(step.calls) do lines[#lines + 1] = "  batch" .. call_text(call) end
  return table.concat(lines, "\n") .. "\nend)"
end

function text.read(step)
  local read = chain_text(step) .. call_text(step.terminal)
  return step.at and read:gsub("^store", "(snapshot or store)") or read
end

function text.snapshot() return "snapshot = keep(store:snapshot())" end
function text.page(step) return ("pages(%s, %d)"):format(chain_text(step), step.size) end

function text.first_page(step)
  return ("first_page(%s, %d)"):format(chain_text(step), step.size)
end

function text.next_page() return "next_page()" end
function text.ask(step) return "store" .. call_text(step.call) end
function text.list(step) return "lines(store" .. call_text(step.call) .. ")" end
function text.dump() return "dump(store)" end
function text.verify() return "store:verify()" end
function text.reopen() return "store = reopen(store)" end

--- The history as Lua code; a call that is refused is meant to be, so each is wrapped in try().
function history.print(steps)
  local lines = {}
  for index, step in ipairs(steps) do
    local write = text[step.kind] or function() return "step " .. literal(step) end
    local body = write(step):gsub("\n", "\n  ")
    local is_statement = step.kind == "reopen" or step.kind == "snapshot"
    lines[index] = ("try(function()\n  %s\nend)"):format(
      is_statement and body or "return " .. body)
  end
  return table.concat(lines, "\n")
end

return history
