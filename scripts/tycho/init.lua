--- Tycho, an embeddable event store. What is here, and what it promises: meta.lua.
if _VERSION ~= "Lua 5.4" then -- who runs busted, say, gets what "lua" is on the machine
  error("tycho needs Lua 5.4, and this is " .. _VERSION .. ": run it with lua5.4", 0)
end
local core = require "tycho.core"
local script = require "tycho.script"
local store = require "tycho.store"

core.own()

return {
  version = core.version,
  open = store.open,
  temporary = store.temporary,
  salvage = store.salvage,
  script = script.compile,
  uuid = core.uuid,
  hash = core.hash,
  content_id = core.content_id,
  now = core.now,
  parse_time = core.parse_time,
  format_time = core.format_time,
  null = core.null,
  array = core.array,
  is_array = core.is_array,
  binary = core.binary,
  json = core.json,
  msgpack = core.msgpack,
}
