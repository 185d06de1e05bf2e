--- The verb `model`: asks on-demand read models, and looks after them.
local failure = require "tycho.command.failure"
local progress = require "tycho.command.progress"
local shared = require "tycho.command.shared"
local tycho = require "tycho"

local model = { name = "model" }

function model.define(command)
  command:summary "Ask an on-demand read model; catch up its instances"
  command:description [[
get links an instance's old events when it is asked for the first time, and prints its state as
JSON. maintain catches up all instances that are not as the present scripts have it, after a version
that reads more; it may be broken off and called again. forget deletes what is kept of an instance:
the next get begins anew.]]
  command:argument("name", "The read model"):argname "NAME"
  command:command_target "action"
  local get = command:command("get", "The states of instances")
  get:argument("key", "Keys of instances"):args "+":argname "KEY"
  get:flag("--fresh", "Fold all events; use no snapshot, and make none")
  get:option("--timeout", "Seconds to wait for another's catch-up; default 30"):argname "S"
    :convert(shared.seconds("--timeout"))
  command:command("status", "What is kept: of instances, or in all")
    :argument("key", "Keys of instances"):args "*":argname "KEY"
  command:command("prepare", "Catch up instances, in large batches")
    :argument("key", "Keys of instances"):args "+":argname "KEY"
  command:command("maintain", "Catch up all that are not current")
  command:command("forget", "Delete what is kept of instances")
    :argument("key", "Keys of instances"):args "+":argname "KEY"
end

local actions = {}

function actions.get(opened, arguments, output)
  local options = { fresh = arguments.fresh, timeout = arguments.timeout }
  for _, key in ipairs(arguments.key) do
    local state, answer = opened:get(key, options)
    if output.json then
      answer.key, answer.state = key, state
      output:object(answer)
    else
      output:write(tycho.json.encode(state), "\n")
    end
  end
end

local function status_text(key, status)
  if not status.is_caught_up then
    return ("%s: not caught up, %s linked"):format(key, shared.counted(status.entries, "event"))
  end
  return ("%s: version %d%s, %s, %d behind the snapshot"):format(key, status.version,
    status.is_current and "" or " (not current)", shared.counted(status.entries, "event"),
    status.behind)
end

function actions.status(opened, arguments, output)
  for _, key in ipairs(arguments.key) do
    local status = opened:status(key)
    status.key = key
    if output.json then
      output:object(status)
    else
      output:write(status_text(key, status), "\n")
    end
  end
  if #arguments.key > 0 then return end
  local status = opened:status()
  if output.json then return output:object(status) end
  output:write(("version %d: %s, %d current, %s\n"):format(status.version,
    shared.counted(status.instances, "instance"), status.current,
    shared.counted(status.snapshots, "snapshot")))
end

local function told(output, run)
  local shown = progress.new("instances")
  local done = run(function(now) shown:update(now.done, now.done / math.max(now.total, 1)) end)
  shown:finish()
  if output.json then return output:object(done) end
  output:write(("%s caught up, %s linked\n"):format(shared.counted(done.done, "instance"),
    shared.counted(done.linked, "event")))
end

function actions.prepare(opened, arguments, output)
  told(output, function(tell) return opened:prepare(arguments.key, { progress = tell }) end)
end

function actions.maintain(opened, _, output)
  told(output, function(tell) return opened:maintain { progress = tell } end)
end

function actions.forget(opened, arguments)
  for _, key in ipairs(arguments.key) do opened:forget(key) end
end

function model.run(arguments, output)
  local only_looks = arguments.action == "status"
  local store <close> = shared.open(arguments, only_looks and "read_only" or "existing")
  local ok, opened = pcall(store.model, store, arguments.name)
  if not ok then
    if failure.code(opened) ~= "not_found" then error(opened, 0) end
    failure.raise(4, ("there is no read model %q"):format(arguments.name),
      "see: tycho scripts; deploy one with: tycho deploy")
  end
  local held <close> = opened
  actions[arguments.action](held, arguments, output)
end

return model
