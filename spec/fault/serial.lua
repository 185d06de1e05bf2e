--- Decides whether what clients saw of a store can be: strict serialisability. The serial order of
--- the batches is the store's own, their sequences; a model carries them out in that order.
---
---  * Each receipt is what the model says, and each batch that was committed is in the store.
---  * A batch that was answered before another was asked for comes before it.
---  * Each refusal and each read is what the model says after one of the batches, between those
---    that were answered before it was asked for and those that were asked for after it was
---    answered; and two of which one was answered before the other was asked for do not go back.
---  * Tokens of a lock rise, only who holds it writes under it, and grants do not overlap.
---  * A batch without an answer (its client was killed) is there whole or not at all.
---
--- A history is a list of operations:
---   { client, number, invoked, answered, asked = what, answer = what }, the second time and the
---   answer nil when there was none,
--- as fault/history_client.c writes them. `final` says what the store has in the end:
---   { base = sequence before the history, sequence, ops = { [id] = version }, log = { ids },
---     entries = function(stream) -> { "id@revision" ... } , streams = { names } }

local model = require "support.model"
local refusal = require "support.refusal"
local state = require "support.model_state"

local serial = {}

local ENDLESS = math.maxinteger

local function name_of(operation)
  local asked = operation.asked
  return ("%s %s/%d"):format(asked.kind, operation.client, operation.number)
end

local function fail(format, ...) error(format:format(...), 0) end

-- Reading what clients wrote ------------------------------------------------------------------

--- The operations of one client's file. A last line that was cut off is none.
function serial.parse(client, content)
  local operations, open = {}, nil
  for line in content:gmatch("([^\n]*)\n") do
    local kind, number, time, what = table.unpack(assert(load("return " .. line))())
    if kind == "i" then
      assert(not open, client .. " asked twice without an answer")
      open = { client = client, number = number, invoked = time, asked = what }
      operations[#operations + 1] = open
    else
      assert(open and open.number == number, client .. " was answered what it did not ask")
      open.answered, open.answer = time, what
      open = nil
    end
  end
  return operations
end

-- The serial order ----------------------------------------------------------------------------

--- The batches by sequence, from base + 1 on.
local function order_of(history, final)
  local by_sequence = {}
  for _, operation in ipairs(history) do
    if operation.asked.kind == "batch" then
      local id, answer = operation.asked.id, operation.answer or {}
      local there, is_known = final.ops[id], answer.status and answer.status ~= "unknown_outcome"
      if answer.status == "ok" and there ~= answer.sequence then
        fail("%s was acknowledged as sequence %d, the store has %s of it", name_of(operation),
          answer.sequence, there and "sequence " .. there or "nothing")
      end
      if is_known and answer.status ~= "ok" and there then
        fail("%s was refused, but is there as sequence %d", name_of(operation), there)
      end
      if there then
        if by_sequence[there] then fail("two batches have the sequence %d", there) end
        by_sequence[there] = operation
      end
    end
  end
  for sequence = final.base + 1, final.sequence do
    if not by_sequence[sequence] then fail("the sequence %d belongs to no batch", sequence) end
  end
  return by_sequence
end

--- Who was answered before another asked comes before it.
local function check_real_time(by_sequence, final)
  local latest
  for sequence = final.base + 1, final.sequence do
    local operation = by_sequence[sequence]
    if latest and (operation.answered or ENDLESS) < latest.invoked then
      fail("%s was answered before %s was asked for, but comes after it (sequence %d)",
        name_of(operation), name_of(latest), sequence)
    end
    if not latest or operation.invoked > latest.invoked then latest = operation end
  end
end

-- What the model says -------------------------------------------------------------------------

local function batch_of(store, asked)
  local batch = store:batch()
  for _, list in ipairs { asked.conditions, asked.operations } do
    for _, call in ipairs(list) do batch[call[1]](batch, table.unpack(call, 2)) end
  end
  return batch
end

--- The refusal of the batch in this state, or nil; `apply` carries its operations out.
local function refusal_in(s, batch, apply)
  local ok, err = pcall(function()
    for _, condition in ipairs(batch.conditions) do
      state.conditions[condition.kind](s, condition)
    end
    return apply and apply()
  end)
  return not ok and (refusal.parse(err) or error(err, 0)) or nil
end

local function compare_receipt(operation, sequence, results)
  local answer = operation.answer
  if not answer then return end
  for index, expected in ipairs(results) do
    local got = answer.results[index]
    if expected.count and (got[1] ~= expected.count or got[2] ~= (expected.first_position or 0)
      or got[3] ~= (expected.first_revision or -1)) then
      fail("%s, operation %d: the receipt says %d, %d, %d, it must be %d, %d, %d",
        name_of(operation), index, got[1], got[2], got[3], expected.count,
        expected.first_position or 0, expected.first_revision or -1)
    end
  end
  if answer.sequence ~= sequence then fail("%s has a wrong sequence", name_of(operation)) end
end

--- Carries out a batch that is there.
local function commit(store, operation, sequence)
  local s, batch, results = store.state, batch_of(store, operation.asked), {}
  s.sequence = sequence
  local err = refusal_in(s, batch, function()
    for index, step in ipairs(batch.operations) do
      results[index] = state.operations[step.kind](s, step)
    end
  end)
  if err then
    fail("%s was committed as sequence %d, but must be refused: %s", name_of(operation), sequence,
      tostring(err.message))
  end
  compare_receipt(operation, sequence, results)
  if operation.answer and operation.answer.head ~= #s.events then
    fail("%s: the receipt says head %d, it must be %d", name_of(operation), operation.answer.head,
      #s.events)
  end
end

local function is_justified(store, operation)
  local s, asked, answer = store.state, operation.asked, operation.answer
  operation.batch = operation.batch or batch_of(store, asked)
  local batch = operation.batch
  local err = refusal_in(s, batch)
  if not err then -- only carrying it out tells, which must not change this state
    if answer.status == "condition_failed" then return false end
    local copy = state.copy(s)
    copy.sequence = copy.sequence + 1
    err = refusal_in(copy, batch, function()
      for _, step in ipairs(batch.operations) do state.operations[step.kind](copy, step) end
    end)
  end
  return err ~= nil and err.code == answer.status
    and (err.actual == nil or answer.actual == nil or err.actual == answer.actual)
end

local answers = {}

local function join(events, field, limit)
  local parts = {}
  for index = 1, math.min(#events, limit or #events) do
    parts[index] = ("%s@%d "):format(events[index].id, events[index][field])
  end
  return table.concat(parts)
end

function answers.stream(store, name)
  local s, parts = store.state, {}
  for index, entry in ipairs(state.entries(s, state.resolve(s, name))) do
    parts[index] = ("%s@%d "):format(s.events[entry.position].id, entry.revision)
  end
  return table.concat(parts)
end

function answers.count(store, name)
  return #state.entries(store.state, state.resolve(store.state, name))
end

function answers.log(store, after)
  local events = store.state.events
  return join(table.move(events, after + 1, math.min(after + 20, #events), 1, {}), "position")
end

function answers.query(store, type_name, tag, after)
  local found, events = {}, store.state.events
  for position = after + 1, #events do
    local event = events[position]
    if event.type == type_name and event.tags[1] == tag then found[#found + 1] = event end
  end
  return join(found, "position", 20)
end

function answers.row(store, key) return select(2, store:row("rows", key)) or 0 end

local function is_seen(store, operation)
  for index, part in ipairs(operation.asked.parts) do
    local expected = answers[part[1]](store, table.unpack(part, 2))
    if expected ~= operation.answer.answers[index] then
      operation.expected = ("%s(%s): %s, got %s"):format(part[1], tostring(part[2]),
        tostring(expected), tostring(operation.answer.answers[index]))
      return false
    end
  end
  return true
end

-- Reads and refusals --------------------------------------------------------------------------

--- For a list of { time, sequence }: function(time) -> the highest (or lowest) sequence of those
--- whose time is below (or above).
local function prefix_highest(list)
  table.sort(list, function(a, b) return a[1] < b[1] end)
  local highest = {}
  for index, item in ipairs(list) do
    highest[index] = math.max(item[2], highest[index - 1] or item[2])
  end
  return function(time)
    local low, high = 0, #list
    while low < high do
      local middle = (low + high + 1) // 2
      if list[middle][1] < time then low = middle else high = middle - 1 end
    end
    return highest[low]
  end
end

--- The first and last sequence after which each operation can have been judged.
local function set_windows(watched, by_sequence, final)
  local answered, invoked = {}, {}
  for sequence = final.base + 1, final.sequence do
    local operation = by_sequence[sequence]
    if operation.answered then answered[#answered + 1] = { operation.answered, sequence } end
    invoked[#invoked + 1] = { -operation.invoked, -sequence }
  end
  local before, behind = prefix_highest(answered), prefix_highest(invoked)
  for _, operation in ipairs(watched) do
    operation.first = before(operation.invoked) or final.base
    local next_one = behind(-operation.answered)
    operation.last = next_one and -next_one - 1 or final.sequence
    operation.places, operation.place = {}, nil
  end
end

local function is_refused(operation)
  local answer = operation.answer
  return operation.asked.kind == "batch" and answer ~= nil and answer.status ~= "ok"
    and answer.status ~= "unknown_outcome" and not operation.is_about_lock
end

local function watched_of(history)
  local list = {}
  for _, operation in ipairs(history) do
    if is_refused(operation) or operation.asked.kind == "read" and operation.answer then
      list[#list + 1] = operation
    end
  end
  return list
end

--- Each has a place, and those that follow each other in time do not go back.
local function check_places(watched)
  local by_answer = table.move(watched, 1, #watched, 1, {})
  table.sort(by_answer, function(a, b) return a.answered < b.answered end)
  table.sort(watched, function(a, b) return a.invoked < b.invoked end)
  local place, index, latest = -1, 1, nil
  for _, operation in ipairs(watched) do
    while by_answer[index].answered < operation.invoked do
      if by_answer[index].place > place then
        place, latest = by_answer[index].place, by_answer[index]
      end
      index = index + 1
    end
    for _, possible in ipairs(operation.places) do
      if possible >= place then
        operation.place = possible
        break
      end
    end
    if not operation.place then
      fail("%s saw an earlier store than %s, which was answered before it was asked for",
        name_of(operation), name_of(latest))
    end
  end
end

local function describe(operation)
  if operation.asked.kind == "read" then return operation.expected or "" end
  return ("refused with %s, actual %s"):format(operation.answer.status,
    tostring(operation.answer.actual))
end

--- Carries out all batches, and looks after each of them at what may have been judged then.
local function replay(history, by_sequence, final)
  local store, watched = model.temporary(), watched_of(history)
  set_windows(watched, by_sequence, final)
  table.sort(watched, function(a, b) return a.first < b.first end)
  local begun, active = 1, {}
  store.state.sequence = final.base
  for sequence = final.base, final.sequence do
    if sequence > final.base then commit(store, by_sequence[sequence], sequence) end
    while watched[begun] and watched[begun].first <= sequence do
      active[watched[begun]] = true
      begun = begun + 1
    end
    for operation in pairs(active) do
      local look = operation.asked.kind == "read" and is_seen or is_justified
      if look(store, operation) then table.insert(operation.places, sequence) end
      if operation.last <= sequence then active[operation] = nil end
    end
  end
  for _, operation in ipairs(watched) do
    if #operation.places == 0 then
      fail("%s is right at no time between its question and its answer (sequences %d to %d): %s",
        name_of(operation), operation.first, operation.last, describe(operation))
    end
  end
  check_places(watched)
  return store
end

-- Locks ---------------------------------------------------------------------------------------

--- The grants of each lock: { token, grant = operation, release = operation or nil }. A client
--- holds one at a time.
local function grants_of(history)
  local locks, last = {}, {}
  for _, operation in ipairs(history) do
    local asked, answer = operation.asked, operation.answer
    if asked.kind == "lock" and answer and answer.status == "ok" then
      last[operation.client] = { token = answer.token, grant = operation }
      locks[asked.name] = locks[asked.name] or {}
      table.insert(locks[asked.name], last[operation.client])
    elseif asked.kind == "release" then
      last[operation.client].release = operation
    end
  end
  return locks
end

local function check_grants(locks)
  local by_token = {}
  for name, grants in pairs(locks) do
    table.sort(grants, function(a, b) return a.token < b.token end)
    for index, one in ipairs(grants) do
      local other = grants[index + 1]
      if by_token[one.token] then fail("the token %d was given twice", one.token) end
      by_token[one.token] = one
      if other and other.grant.answered < one.grant.invoked then
        fail("the lock %s: the token %d was given before %d", name, other.token, one.token)
      end
      if other and one.release and other.grant.answered < one.release.invoked then
        fail("the lock %s was held twice: by %s with the token %d, by %s with %d", name,
          one.grant.client, one.token, other.grant.client, other.token)
      end
    end
  end
  return by_token
end

--- Batches under locks: who holds it is not refused for it, who released it is; and none comes
--- behind one with a later token.
local function check_locked(history, by_token)
  local written = {}
  for _, operation in ipairs(history) do
    local asked, answer = operation.asked, operation.answer or {}
    local grant = asked.token and by_token[asked.token]
    local is_late = grant and grant.release and grant.release.invoked < operation.invoked
    if asked.token and not grant then fail("%s has a token of nobody", name_of(operation)) end
    if is_late and answer.status == "ok" then
      fail("%s was written after its lock was released", name_of(operation))
    end
    if is_late and answer.status and answer.status ~= "condition_failed" then
      fail("%s came after its lock was released, and was answered %s", name_of(operation),
        answer.status)
    end
    operation.is_about_lock = is_late or nil
    if answer.status == "ok" and grant then written[#written + 1] = operation end
  end
  table.sort(written, function(a, b) return a.answer.sequence < b.answer.sequence end)
  local highest = {}
  for _, operation in ipairs(written) do
    local lock, token = operation.asked.lock, operation.asked.token
    if token < (highest[lock] or 0) then
      fail("%s was written under the lock %s behind a batch with a later token",
        name_of(operation), lock)
    end
    highest[lock] = token
  end
end

-- All of it -----------------------------------------------------------------------------------

--- Nothing is lost and nothing doubled: the store has in the end what the model has.
local function check_final(store, final)
  local events = store.state.events
  for position = 1, math.max(#events, #final.log) do
    local expected, got = events[position] and events[position].id, final.log[position]
    if expected ~= got then
      fail("the store has %s at the position %d, it must be %s", tostring(got), position,
        tostring(expected))
    end
  end
  for _, name in ipairs(final.streams) do
    local expected, got = {}, final.entries(name)
    for index, entry in ipairs(state.entries(store.state, name)) do
      expected[index] = ("%s@%d"):format(events[entry.position].id, entry.revision)
    end
    if table.concat(expected, " ") ~= table.concat(got, " ") then
      fail("the stream %s has %s, it must have %s", name, table.concat(got, " "),
        table.concat(expected, " "))
    end
  end
end

--- What a follower served: every event of the log once and in order, each after its batch was asked
--- for. `lines` is a list of { time, position, id }.
function serial.check_follower(lines, history, final)
  local invoked = {}
  for _, operation in ipairs(history) do
    for _, call in ipairs(operation.asked.operations or {}) do
      for _, event in ipairs(call[1] == "append" and call[3] or {}) do
        invoked[event.id] = math.min(operation.invoked, invoked[event.id] or ENDLESS)
      end
    end
  end
  for index, line in ipairs(lines) do
    local time, position, id = table.unpack(line)
    if position ~= index or id ~= final.log[index] then
      fail("the follower was served %s at %d, where the log has %s at %d", id, position,
        tostring(final.log[index]), index)
    end
    if time < (invoked[id] or ENDLESS) then fail("%s was served before it was written", id) end
  end
  return #lines
end

--- Raises a sentence when the history cannot be. Gives how many operations of each kind it judged.
function serial.check(history, final)
  local by_token = check_grants(grants_of(history))
  check_locked(history, by_token)
  local by_sequence = order_of(history, final)
  check_real_time(by_sequence, final)
  check_final(replay(history, by_sequence, final), final)
  local counts = { operations = #history, committed = final.sequence - final.base, refused = 0,
    reads = 0, unknown = 0 }
  for _, operation in ipairs(history) do
    if is_refused(operation) then counts.refused = counts.refused + 1 end
    if operation.asked.kind == "read" then counts.reads = counts.reads + 1 end
    if not operation.answer then counts.unknown = counts.unknown + 1 end
  end
  return counts
end

return serial
