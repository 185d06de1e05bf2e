--- Steps of a history that are more than one batch or read (property/verb_steps.lua makes them):
---
---   { kind = "lock" or "release" or "try_lock", name }    all without waiting; try_lock gives back
---   { kind = "locks" }
---   { kind = "follow", name, options }, { kind = "drain", name, by_key = true: by a new follower }
---   { kind = "switch", verb = "rename" or "merge" or "split", options, modulo, broken, cancel }
---   { kind = "deploy", recipes, removed }, { kind = "backfill", recipe, broken }
---   { kind = "backup", tables }
---   { kind = "model_get", name, key, fresh }, { kind = "model_do", verb, name, key }
---
--- Switches and back-fills have `during`, batches of somebody else that come between theirs. Those
--- of the engine run first and say how many came in time (`box.ran`); the model runs these before
--- all. `broken` = n breaks them off at the n-th report of progress, to be continued or cancelled.

local plain = require "support.plain"
local refusal = require "support.refusal"
local scratch = require "support.scratch"
local scripts = require "support.model_scripts"
local tycho = require "tycho"

local verbs = { run = {} }
local run = verbs.run

--- Kinds that need batches of their own, of which the model does not know how many.
verbs.adopts = { switch = true, deploy = true, backfill = true, model_get = true, model_do = true,
  lock = true, try_lock = true }

-- Locks ---------------------------------------------------------------------------------------

function run.lock(box, step)
  local lock = box.store:lock(step.name, { timeout = 0 })
  local tokens = box.tokens
  assert(lock:token() > (tokens[#tokens] or 0), "a token that does not rise")
  tokens[#tokens + 1] = lock:token()
  box.locks[step.name] = lock
  return #tokens
end

function run.release(box, step)
  if box.locks[step.name] then box.locks[step.name]:release() end
  box.locks[step.name] = nil
end

--- Whether it could be had; by another process it is not told apart whose it is.
function run.try_lock(box, step)
  local ok, lock = pcall(box.store.lock, box.store, step.name, { timeout = 0 })
  if ok then lock:release() end
  assert(ok or lock.code == "busy" or lock.code == "timeout", tostring(lock))
  return ok
end

function run.locks(box)
  local names = {}
  for index, lock in ipairs(box.store:locks()) do names[index] = lock.name end
  return names
end

--- Calls of a batch with tokens of this box in place of the numbers of their grants. A grant that
--- was not made stands for a token that was never given.
function verbs.with_tokens(box, calls)
  local result = {}
  for index, call in ipairs(calls) do
    result[index] = call
    if call[1] == "expect_lock" then
      result[index] = table.pack(call[1], call[2], box.tokens[call[3]] or 1 << 50)
    end
  end
  return result
end

--- Whether the condition with this number is one about a lock, whose facts are tokens.
function verbs.is_about_lock(calls, number)
  local count = 0
  for _, call in ipairs(calls) do
    local options = call[1] == "delete_stream" and call[3] or {}
    if call[1]:find("^expect") or options.expected_version ~= nil then count = count + 1 end
    if count == number then return call[1] == "expect_lock" end
  end
  return false
end

--- The number of the grant that had a token; the token itself when none had.
function verbs.grant(box, token)
  for number, given in ipairs(box.tokens or {}) do
    if given == token then return number end
  end
  return token
end

-- Followers -----------------------------------------------------------------------------------

local function drain(follower)
  local events, event = {}, follower:next(0)
  while event do
    events[#events + 1] = plain.event(event)
    event = follower:next(0)
  end
  return events
end

function run.follow(box, step)
  local before = box.followers[step.name]
  if before then before.follower:close() end
  box.followers[step.name] = nil
  local follower = box.store:follow(step.options)
  box.followers[step.name] = { follower = follower, options = step.options }
  return drain(follower)
end

function run.drain(box, step)
  local kept = box.followers[step.name]
  if not kept then return nil end
  if step.by_key then
    local key = kept.follower:key()
    kept.follower:close()
    verbs.follow_on(box, step.name, key)
  end
  return drain(kept.follower)
end

--- A new follower in the place of one that had the key.
function verbs.follow_on(box, name, key)
  local kept, options = box.followers[name], { resume = key }
  if box.is_model then
    kept.follower:resume()
    return
  end
  for option, value in pairs(kept.options) do options[option] = value end
  kept.follower = box.store:follow(options)
end

-- Switches and back-fills ---------------------------------------------------------------------

local BROKEN = "broken off"

local function write_during(box, calls)
  local ok, err = pcall(box.store.batch, box.store, function(batch)
    for _, call in ipairs(calls) do batch[call[1]](batch, table.unpack(call, 2, call.n)) end
  end)
  local parsed = not ok and (refusal.parse(err) or error(err, 0))
  return ok and "ok" or parsed.code
end

--- Calls call(progress), with what comes between its batches, and once more when it is broken off.
local function call_broken(box, step, call, cancel)
  local during, results, count, is_done = step.during or {}, {}, 0, false
  local function progress(status)
    count = count + 1
    is_done = status.is_deployed or status.phase == "done" or status.phase == "switched"
      or status.phase == "deleted"
    local is_live = not (status.is_deployed or status.phase == "switched"
      or status.phase == "deleted")
    if is_live and #results < #during then
      results[#results + 1] = write_during(box, during[#results + 1])
    end
    if step.broken == count then error(BROKEN, 0) end
  end
  local ok, err = pcall(call, progress)
  box.ran, box.was_cancelled = #results, false
  if ok then return results end
  if err ~= BROKEN then error(err, 0) end
  box.was_cancelled = step.cancel ~= nil and not is_done
  if box.was_cancelled then cancel() else call(progress) end
  box.ran = #results
  return results
end

--- The same for a model, which knows from the engine what came in time.
local function call_whole(box, step, call)
  local during, results = step.during or {}, {}
  for index = 1, math.min(#during, box.ran or #during) do
    results[index] = write_during(box, during[index])
  end
  if not box.was_cancelled then call() end
  return results
end

local function rule_of(modulo)
  return function(event)
    local n = type(event.data) == "table" and event.data.n or 0
    return n % modulo > 0 and "p" .. n % modulo or nil
  end
end

function run.switch(box, step)
  local options = { rule = step.modulo and rule_of(step.modulo) }
  for name, value in pairs(step.options) do options[name] = value end
  local function call(progress)
    options.progress = progress
    if not box.is_model then options.pause, options.chunk = 0, step.chunk end
    box.store[step.verb](box.store, options)
  end
  if box.is_model then return call_whole(box, step, call) end
  return call_broken(box, step, call, function() -- not found: it had not begun
    local ok, err = pcall(box.store.rename, box.store, { source = options.source,
      target = options.target, cancel = true, pause = 0 })
    assert(ok or err.code == "not_found", tostring(err))
  end)
end

function run.backfill(box, step)
  if box.is_model then
    return call_whole(box, step, function() box.store:backfill_recipe(step.recipe) end)
  end
  local source = scripts.source(step.recipe)
  return call_broken(box, step, function(progress)
    box.store:backfill { source = source, progress = progress, pause = 0, chunk = step.chunk }
  end, function()
    local ok, err = pcall(box.store.backfill, box.store, { source = source, cancel = true })
    assert(ok or err.code == "not_found", tostring(err))
  end)
end

-- Backups -------------------------------------------------------------------------------------

--- All that is in a backup, which is opened for it.
function run.backup(box, step)
  if box.is_model then return plain.dump(box.store, step.tables) end
  local path = box.directory .. "/backup"
  box.store:backup(path)
  local store = tycho.open(path, { mode = "existing", sync = "none" })
  local findings, dump = store:verify().findings, plain.dump(store, step.tables)
  store:close()
  scratch.remove(path)
  assert(#findings == 0, "the backup is damaged: " .. tostring(findings[1]))
  return dump
end

-- Scripts -------------------------------------------------------------------------------------

function run.deploy(box, step)
  if box.is_model then return box.store:deploy_recipes(step.recipes, step.removed) end
  local sources = {}
  for index, recipe in ipairs(step.recipes) do sources[index] = scripts.source(recipe) end
  box.store:deploy { sources = sources, remove = step.removed }
end

--- The state must be the fold over everything, and hold for the store as it is.
function run.model_get(box, step)
  if box.is_model then return box.store:model_state(step.name, step.key) end
  local model <close> = box.store:model(step.name)
  local state, answer = model:get(step.key, { fresh = step.fresh, snapshot_after = 2 })
  assert(answer.position == box.store:head(), "an answer for another position")
  assert(answer.events == #state.list, "a wrong count of events")
  return state
end

--- forget, maintain or prepare: nothing that anybody can see.
function run.model_do(box, step)
  if box.is_model then
    box.store:model_state(step.name, step.key)
    return
  end
  local model <close> = box.store:model(step.name)
  local arguments = { prepare = { step.key }, forget = step.key }
  model[step.verb](model, arguments[step.verb])
end

return verbs
