--- Tycho, an embeddable event store. What is here, and what it promises: meta.lua.
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
