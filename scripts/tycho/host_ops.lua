--- The ops of the host protocol that are Lua: rename, merge and backfill. bindings/rpc/lua_module.c
--- runs each in a state of its own.
---
--- A task has op, request (JSON), path, mode and sync of the store that is open, progress(json) and
--- is_cancelled(). What was cancelled stops between two batches, and can be gone on with.
local core = require "tycho.core"
local tycho = require "tycho"

core.own()

local host_ops = {}

local SLICE = 0.1 -- seconds until it is seen that the request was cancelled
local LOCK_TIMEOUT = 10
local REST_MAX = 1
local FACTS = {
  "actual", "stream", "event_id", "owner", "script", "version", "line", "position", "traceback",
}
local RESTS = { linking = true, preparing = true, mending = true, cancelling = true }

--- Raised by what notices that the request was cancelled.
local CANCELLED = {}

--- A status as the protocol says it.
local function to_json(status)
  local plain = {}
  for name, value in pairs(status) do plain[name] = value end
  if status.sources then
    plain.sources, plain.routes = tycho.array(status.sources), tycho.array(status.routes)
  end
  plain.eta_ms = status.eta and math.ceil(status.eta * 1000)
  plain.eta = nil
  return tycho.json.encode(plain)
end

--- Waits in slices.
local function rest(task, store, seconds)
  local until_time = core.monotonic() + seconds * 1e6
  local left = seconds
  while left > 0 do
    if task.is_cancelled() then error(CANCELLED, 0) end
    store:wait(math.maxinteger, math.min(left, SLICE))
    left = (until_time - core.monotonic()) / 1e6
  end
end

--- What is called with the status after each batch: it tells it, and rests as long as the batch
--- took, unless the request says how long, or nobody else writes. Publishers that are faster are
--- left no rest.
local function progress_of(task, store, pause)
  local started, left_before, sequence = core.monotonic(), nil, 0
  return function(status)
    task.progress(to_json(status))
    local seconds = pause or math.min((core.monotonic() - started) / 1e6, REST_MAX)
    local is_outrun = left_before and status.left >= left_before
    local is_alone = status.sequence and (sequence == 0 or status.sequence == sequence + 1)
    left_before, sequence = status.left, status.sequence or 0
    if task.is_cancelled() then error(CANCELLED, 0) end
    local is_due = pause or not (is_outrun or is_alone)
    if RESTS[status.phase] and is_due then rest(task, store, seconds) end
    started = core.monotonic()
  end
end

--- A number of milliseconds of the request, as seconds.
local function seconds_of(request, name)
  local value = request[name]
  if value == nil or value == tycho.null then return nil end
  if math.type(value) ~= "integer" or value < 0 then
    core.misuse(("%s must be an integer of at least 0, got %s"):format(name, tostring(value)))
  end
  return value / 1000
end

--- Calls the method; whoever has the lock of the switch is waited for in slices.
local function run_switch(task, store, options, lock_timeout)
  local deadline = core.monotonic() + lock_timeout * 1e6
  while true do
    options.lock_timeout = math.max(0, math.min(SLICE, (deadline - core.monotonic()) / 1e6))
    local ok, result = pcall(store[task.op], store, options)
    if ok then return result end
    local is_waiting = type(result) == "table" and result.code == "timeout"
    if not is_waiting or core.monotonic() >= deadline then error(result, 0) end
    if task.is_cancelled() then error(CANCELLED, 0) end
  end
end

local function perform(task)
  local options = {}
  local request = tycho.json.decode(task.request)
  for name, value in pairs(request) do
    if value ~= tycho.null then options[name] = value end
  end
  for _, name in ipairs { "id", "op", "pause_ms", "lock_timeout_ms" } do options[name] = nil end
  local pause = seconds_of(request, "pause_ms")
  local lock_timeout = seconds_of(request, "lock_timeout_ms") or LOCK_TIMEOUT
  local store <close> = tycho.open(task.path, { mode = task.mode, sync = task.sync })
  options.pause = 0 -- the rests are ours, so that they can be ended
  options.progress = progress_of(task, store, pause)
  return to_json(run_switch(task, store, options, lock_timeout))
end

--- The result of the task as JSON; or nil, the code of a status, a sentence, and facts as JSON.
function host_ops.run(task)
  local ok, result = pcall(perform, task)
  if ok then return result end
  if result == CANCELLED then
    local message = ("the %s was cancelled between two batches; ask for it again and it goes on")
    return nil, "timeout", message:format(task.op), "{}"
  end
  if type(result) ~= "table" then return nil, "invalid_argument", tostring(result), "{}" end
  local facts = {}
  for _, name in ipairs(FACTS) do facts[name] = result[name] end
  return nil, result.code, result.message, tycho.json.encode(facts)
end

return host_ops
