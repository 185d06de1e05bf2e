--- The verbs of named locks: `locks` shows them, `lock` runs a command under one.
local failure = require "tycho.command.failure"
local input = require "tycho.command.input"
local shared = require "tycho.command.shared"

local locks = { name = "locks" }

function locks.define(command)
  command:summary "List the locks that are held"
end

local function show_time(time, _, output)
  return output:time(time)
end

function locks.run(arguments, output)
  local store <close> = shared.open(arguments, "read_only")
  local rows = output:rows {
    { key = "token", right = true },
    { key = "since", text = show_time },
    { key = "pid", right = true },
    { key = "host" },
    { key = "waiters", right = true },
    { key = "name" },
  }
  for _, lock in ipairs(store:locks()) do rows:add(lock) end
  rows:flush()
end

local lock = { name = "lock" }

function lock.define(command)
  command:summary "Run a command while holding a lock"
  command:description [[
Ends with the exit code of the command, 128 and the signal when one ended it, or 75 when the lock
was not free in time. The command finds the token of the lock in $TYCHO_LOCK_TOKEN. When tycho lock
itself is ended by a signal, the command goes on without the lock: batches should demand the token.
tycho lock nightly --timeout 5 -- make -C site publish]]
  command:argument("name", "The lock"):argname "NAME"
  command:argument("words", "The command and its arguments, behind --"):args "+":argname "COMMAND"
  command:option("--timeout", "Seconds to wait for it; 0: not at all; default: 30")
    :argname "SECONDS":convert(function(text)
      local seconds = text:find("^%d*%.?%d*$") and tonumber(text)
      if seconds and seconds < 1e9 then return seconds end
      return nil, ("--timeout: %q is not a number of seconds"):format(text)
    end)
end

--- The command as a line of sh, which becomes it, so that its signals are told.
local function shell_line(words, token)
  local quoted = {}
  for index, word in ipairs(words) do quoted[index] = input.quote(word) end
  return ("export TYCHO_LOCK_TOKEN=%d; exec %s"):format(token, table.concat(quoted, " "))
end

function lock.run(arguments, output)
  local store <close> = shared.open(arguments, "existing")
  local ok, held = pcall(store.lock, store, arguments.name, { timeout = arguments.timeout })
  if not ok then
    if failure.code(held) ~= "timeout" then error(held, 0) end
    failure.raise(75, failure.text(held), "wait longer with --timeout, or see: tycho locks")
  end
  local _ <close> = held
  output:flush()
  local _, how, code = os.execute(shell_line(arguments.words, held:token()))
  return how == "exit" and code or 128 + code
end

return { locks, lock }
