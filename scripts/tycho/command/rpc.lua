--- The verb `rpc`: the host protocol, one JSON object a line on standard input and output. The
--- dispatcher is the C module `tycho.rpc`.
local failure = require "tycho.command.failure"

local verb = { name = "rpc" }

function verb.define(command)
  command:summary "Serve the host protocol on standard input and output"
  command:description [[
Reads one JSON object a line and answers one a line, until the end of input:
{"id": 1, "op": "read", "spec": {"stream": "orders"}}. Without a store, the first request is
"open". What takes time (lock, follow, rename, merge) does not hold up the requests behind it: its
lines come when they are ready, with its id.]]
  command:argument("path", "The store; default: --store or $TYCHO_STORE"):args "?":argname "STORE"
end

function verb.run(arguments)
  local path = arguments.path or arguments.store or os.getenv("TYCHO_STORE")
  if path == "" then path = nil end
  local loaded, rpc = pcall(require, "tycho.rpc")
  if not loaded then
    failure.raise(1, "the module tycho.rpc is missing: " .. failure.text(rpc), "run: make")
  end
  rpc.serve(path)
end

return verb
