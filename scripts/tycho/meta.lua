---@meta tycho
--- The Lua API of Tycho, as types (LuaCATS). `spec/lua/meta_spec.lua` compares it with what is
--- exported, so this is the reference; meta/stream_switch.lua and meta/scripts.lua belong to it.
---
--- Rules that hold everywhere:
---  * Whatever fails raises. Misuse (a wrong argument) raises a string with the caller's line; a
---    refusal of the store raises a `tycho.Error`: `err.code` is the code of tycho.h
---    ("wrong_expected_version"), facts are fields, `tostring(err)` is a sentence. Look-ups that
---    miss return nil.
---  * Times are integers, microseconds since the epoch. Positions start at 1, revisions at 0.
---  * Names of streams may be routes; `raw = true` takes the name as the stream's own.
---  * Handles have `__close`, and close themselves when they are collected; `close()` may be called
---    twice. Using a closed one raises. An event is a value: it outlives its handles, but the
---    stream and tags of one that came from each() are looked up when they are first asked for.
---  * Unknown names in option tables are refused.

---@class tycho
---@field null lightuserdata  null in data; truthy; equal to itself, round-trips
---@field version string      version of the library that runs
local tycho = {}

---@class tycho.OpenOptions
---@field mode? "create"|"existing"|"read_only"   default "create"
---@field sync? "full"|"batched"|"none"           default "full"
---@field map_size? integer       bytes of address space
---@field readers_max? integer
---@field write_timeout? number   seconds
---@field reserve_size? integer   bytes
---@field marks_max? integer      bytes of memory for what is known of pages: one each

---@param path string
---@param options? tycho.OpenOptions
---@return tycho.Store
function tycho.open(path, options) end

--- A new store that is removed when it is closed.
---@param options? tycho.OpenOptions
---@return tycho.Store
function tycho.temporary(options) end

---@class tycho.Salvaged
---@field findings string[]      what is hurt or lost; empty: the store is sound
---@field head integer           last position
---@field events integer         saved
---@field events_lost integer    their positions have events of the type "$lost"
---@field entries integer        of streams, links included
---@field entries_lost integer   as far as is known
---@field rows integer
---@field rows_lost integer      as far as is known
--- Saves what is intact of a damaged store, which nobody may write to meanwhile, into a new one in
--- `path`. Without `path` it only tells what is hurt.
---@param damaged string
---@param path? string
---@return tycho.Salvaged
function tycho.salvage(damaged, path) end

--- Compiles a script that need not be deployed, to run it by hand. Raises rejected, with the line.
---@param source string
---@param label? string   for messages, such as the name of its file
---@return tycho.Script
function tycho.script(source, label) end

---@return string   a new UUIDv7
function tycho.uuid() end

--- XXH3 of 64 bits: for recognising content, not for secrets.
---@param bytes string
---@return integer
function tycho.hash(bytes) end

--- An id made of content: the same for the same arguments, everywhere and for ever. A UUID of
--- version 8 that begins with the milliseconds of `time` (microseconds), so that such ids rise with
--- their events, as the store likes it.
---@param seed integer          keeps apart equal text that is not the same event: tycho.hash(...)
---@param bytes string
---@param occurrence? integer   which of several equal contents; default 0
---@param time? integer         default: the id is in no order
---@return string
function tycho.content_id(seed, bytes, occurrence, time) end

---@return integer  now, microseconds
function tycho.now() end

--- RFC 3339 text to microseconds ("2011-09-30T22:38:44.546Z", "... +02:00"); nil, message if bad.
---@param text string
---@return integer?, string?
function tycho.parse_time(text) end

--- Microseconds to RFC 3339 in UTC, with as many fraction digits as needed (0, 3 or 6).
---@param time integer
---@return string
function tycho.format_time(time) end

--- Marks a table as an array, by a metatable that all arrays share; arrays that were read have it,
--- so that they stay arrays when they become empty. Returns the table.
---@generic T: table
---@param t? T
---@return T
function tycho.array(t) end

--- Whether the value is encoded as an array: keys exactly 1 to n, or empty and marked.
---@param t any
---@return boolean
function tycho.is_array(t) end

--- Bytes that are no text: MessagePack bin, JSON {"base64": "..."}; what is read from these is
--- always a tycho.Binary. Plain strings that are not valid UTF-8 are encoded so too, and come back
--- as one.
--- `b.bytes` and `tostring(b)` are the bytes, `#b` their number; equal bytes are equal.
---@class tycho.Binary
---@field bytes string
---@param bytes string
---@return tycho.Binary
function tycho.binary(bytes) end

--- Values keep their kind: integers and floats, arrays and maps, null, strings and binaries.
---  * A table is an array when its keys are exactly 1 to n, a map when all are strings (valid
---    UTF-8). Tables are read raw. The empty table is a map, unless tycho.array marks it.
---  * Anything else raises with its path ("value.items[3] is a function"): holes, other keys, NaN,
---    infinities, nil, functions, more than 128 tables within each other (a table in itself too).
---  * Maps are written in the order of their keys' bytes: equal values have equal bytes.
---  * At most 16 MiB of MessagePack, 128 MiB of JSON. Where a key comes twice, the last one counts.
---  * MessagePack of others may have maps with integer keys, 16384 in a value; more of them,
---    integers above 2^63-1 and extensions raise.
---  * JSON: 1 is an integer, 1.0 and 1e2 are floats, integers beyond 64 bits become floats. An
---    object of "base64" alone, with canonical base64, is a tycho.Binary.
---@class tycho.codec
---@field encode fun(value: any): string
---@field decode fun(text: string): any   raises with the place ("... (byte 17)")

---@type tycho.codec
tycho.json = {}
---@type tycho.codec
tycho.msgpack = {}

---@class tycho.Error   raised refusals; also has the facts below where the code has them
---@field code string            "wrong_expected_version", "event_not_found", ...
---@field message string         one sentence
---@field actual? integer        revision, version or position found
---@field stream? string
---@field event_id? string
---@field operation? integer     1-based index in the batch
---@field condition? integer
---@field owner? tycho.LockInfo   of a lock (without name and waiters), when it is known
---@field what? string           of rename, merge, split and deploy: the message without advice
---@field advice? string

---@class tycho.NewEvent
---@field type string
---@field data? any              default {} ; with content_type: a string, stored as it is
---@field metadata? table<string, any>
---@field id? string             default a new UUIDv7
---@field time? integer          default now
---@field valid_time? integer    default time
---@field tags? string[]
---@field correlation_id? string
---@field causation_id? string
---@field content_type? string   of data; nil: MessagePack

--- An event that was read. Immutable; data and metadata are decoded when they are first asked for.
--- One of a loop has its stream and tags, and what is stored compressed, only while its store is
--- open, unless they were asked for before.
---@class tycho.Event
---@field id string
---@field type string
---@field stream? string          home stream
---@field position integer
---@field revision? integer       in the stream that was read, else in the home stream
---@field is_link boolean
---@field time integer
---@field valid_time integer
---@field data any
---@field metadata table<string, any>
---@field tags string[]
---@field correlation_id? string
---@field causation_id? string
---@field content_type? string
---@field written? integer        overwritten in a store with scripts: where the log ended then, + 1
local Event = {}
--- One value of the data without decoding the rest: event:field("customer", "name"), or nil.
---@param ... string|integer   keys and 1-based array indices
---@return any
function Event:field(...) end
--- A plain table with all fields.
---@return table
function Event:to_table() end

---@class tycho.WriteOptions
---@field expected_version? "any"|"none"|"auto"|"exists"|integer   default "any"; "auto" is "any"
---@field on_duplicate? "error"|"skip"   links only; default "error"
---@field raw? boolean
---@field idempotent? boolean

---@class tycho.Result          of one operation
---@field count integer
---@field first_position? integer
---@field first_revision? integer
---@field previous? string      set_route

---@class tycho.Receipt
---@field sequence integer
---@field first_position? integer
---@field event_count integer
---@field head integer
---@field is_replay boolean
---@field event_ids string[]      of the appended events, in order
---@field results tycho.Result[]

---@class tycho.QueryItem
---@field types? string[]
---@field tags? string[]
---@alias tycho.Query tycho.QueryItem | tycho.QueryItem[]   one item, or alternatives

---@class tycho.Store
local Store = {}

--- Writes events to a stream (nil: to the log alone), then calls the subscribers, event by event,
--- after the commit. A subscriber that raises ends the calls; the events stay written. A replay
--- (idempotent, all was there) calls nobody.
---@param stream string?
---@param events tycho.NewEvent|tycho.NewEvent[]
---@param options? tycho.WriteOptions
---@return tycho.Receipt
function Store:publish(stream, events, options) end
--- As publish, without subscribers.
---@param stream string?
---@param events tycho.NewEvent|tycho.NewEvent[]
---@param options? tycho.WriteOptions
---@return tycho.Receipt
function Store:append(stream, events, options) end
---@param stream string
---@param event_ids string|string[]
---@param options? tycho.WriteOptions
---@return tycho.Receipt
function Store:link(stream, event_ids, options) end
---@param stream string
---@param event_ids string|string[]
---@param options? { raw?: boolean }
---@return tycho.Receipt
function Store:unlink(stream, event_ids, options) end
---@param stream string
---@param options? { raw?: boolean, expected_version?: any }
---@return tycho.Receipt
function Store:delete_stream(stream, options) end
---@param stream string
---@param before integer   the first revision that is kept
---@param options? { raw?: boolean }
---@return tycho.Receipt
function Store:truncate(stream, before, options) end
--- Replaces type, data, metadata, content type and (if given) valid_time of stored events. What
--- event:to_table() gives may be changed and passed back. Event types check it as if it were
--- appended, and it is of their present version. All other fields stay as they are, as do tags that
--- were computed, and links.
---@param events tycho.NewEvent|tycho.NewEvent[]   with id and type
---@return tycho.Receipt
function Store:overwrite(events) end

--- A batch to be filled and committed; with a function: calls it with the batch, commits, and
--- gives the receipt. Nothing is committed when it raises, nor when the batch is still empty (nil).
---@overload fun(self: tycho.Store): tycho.Batch
---@param fill fun(batch: tycho.Batch)
---@return tycho.Receipt?
function Store:batch(fill) end

--- A closed route leads readers on and refuses writers (denied).
---@param route string
---@param stream string?   nil removes the route
---@param options? { expected?: string|false, closed?: boolean }   expected: the stream it points to
---                                                                now (false: no route)
---@return tycho.Receipt
function Store:set_route(route, stream, options) end
---@param name string
---@return string?, boolean?   the stream that the route points to; nil when it is no route; closed
function Store:route(name) end
---@param stream string
---@param metadata any   nil removes it
---@param options? { raw?: boolean }
---@return tycho.Receipt
function Store:set_stream_metadata(stream, metadata, options) end
---@param stream string
---@param options? { raw?: boolean }
---@return any
function Store:stream_metadata(stream, options) end

---@param table_name string
---@param key string
---@return any value, integer? version
function Store:row(table_name, key) end
---@param table_name string
---@param key string
---@param value any          nil deletes the row
---@param options? { version?: integer }   the version it must have now (0: no such row)
---@return tycho.Receipt
function Store:put_row(table_name, key, value, options) end
---@param table_name string
---@param options? { prefix?: string, after?: string, limit?: integer }
---@return fun(): string?, any, integer?   generic for: key, value, version
function Store:rows(table_name, options) end
---@param name string
---@return integer   0 when it was never set
function Store:checkpoint(name) end
---@param name string
---@param position integer
---@param options? { expected?: integer }
---@return tycho.Receipt
function Store:set_checkpoint(name, position, options) end

---@return tycho.Specification
function Store:read() end
---@param id string
---@return tycho.Event?
function Store:event(id) end
---@param id string
---@return boolean
function Store:has_event(id) end
---@param id string
---@return integer?
function Store:position(id) end
---@param id string
---@param stream string
---@param options? { raw?: boolean }
---@return integer?   nil when the stream does not have it
function Store:revision(id, stream, options) end
---@param id string
---@return string[]   in link order; empty when unknown
function Store:streams_of(id) end
---@param stream string
---@return tycho.Event?
function Store:last_event(stream) end
---@param stream string
---@param options? { raw?: boolean }
---@return integer   -1 when it never had entries
function Store:stream_version(stream, options) end
---@return integer
function Store:head() end
---@class tycho.ListOptions
---@field prefix? string
---@field after? string
---@field limit? integer
--- for name, count, revision in store:streams{prefix = "order-"} do
---@param options? tycho.ListOptions
---@return fun(): string?, integer?, integer?
function Store:streams(options) end
---@param options? tycho.ListOptions
---@return fun(): string?, integer?
function Store:types(options) end
---@param options? tycho.ListOptions
---@return fun(): string?, integer?
function Store:tags(options) end
---@param options? tycho.ListOptions
---@return fun(): string?, string?
function Store:routes(options) end
---@param options? tycho.ListOptions
---@return fun(): string?, integer?
function Store:checkpoints(options) end

--- Several reads at one instant, by the scripts of then:
--- local s <close> = store:snapshot(); s:read():stream("a")...
---@class tycho.Snapshot
---@field read fun(self: tycho.Snapshot): tycho.Specification
---@field close fun(self: tycho.Snapshot)
---@return tycho.Snapshot
function Store:snapshot() end

--- Waits until the head is beyond `position`: the head, or nil after `timeout` seconds.
---@param position integer
---@param timeout? number   default: for ever
---@return integer?
function Store:wait(position, timeout) end

--- A catch-up subscription: the history that a specification describes, then what is written, by
--- any process, without a gap and in order (tycho.h, section 9: also what happens when the followed
--- stream is renamed or deleted). Forward, by position or revision, without an end but a limit.
---@class tycho.FollowOptions
---@field read? tycho.Specification   default: the whole log; or the steps below
---@field stream? string
---@field types? string|string[]
---@field tags? string|string[]
--- exclusive; "end": only what comes; of the log while there is no stream
---@field from_position? integer|"end"
---@field resume? string             a key of an earlier follower
---@field caught_up? fun(follower: tycho.Follower)   called each time all there was has been served
---@class tycho.Follower
--- The next event, waiting up to `timeout` seconds (default: for ever; 0: not at all), or nil.
---@field next fun(self, timeout?: number): tycho.Event?
--- for event in follower:each() do ... end; with a timeout it ends after so many quiet seconds.
---@field each fun(self, timeout?: number): fun(): tycho.Event?
---@field is_caught_up fun(self): boolean
---@field key fun(self): string       go on behind the last event: follow{resume = key}
---@field descriptor fun(self): integer   readable when next(0) may give something; never read it
---@field cancel fun(self)             ends all waits
---@field close fun(self)
---@param options? tycho.FollowOptions
---@return tycho.Follower
function Store:follow(options) end

--- Takes a named lock across threads and processes (tycho.h, section 10): local guard <close> =
--- store:lock("name"). After `timeout` seconds (default 30; 0: at once) it raises timeout with the
--- facts owner = {pid, thread, host, since, token}. A lock of this thread raises busy. Waiting
--- blocks the thread with all its coroutines, and interrupts are noticed when it is over.
---@class tycho.Lock
---@field name fun(self): string
---@field token fun(self): integer     rises with each grant of the store
---@field is_held fun(self): boolean
---@field release fun(self)            may be called twice; also __close and __gc
---@param name string
---@param options? { timeout?: number }
---@return tycho.Lock
function Store:lock(name, options) end
--- Calls fn(lock) under the lock and gives its results; released also when it raises.
---@param name string
---@param fn fun(lock: tycho.Lock): any ...
---@param options? { timeout?: number }
---@return any ...
function Store:with_lock(name, fn, options) end
---@class tycho.LockInfo
---@field name string
---@field token integer
---@field since integer
---@field pid integer
---@field thread integer
---@field host string
---@field waiters integer
---@return tycho.LockInfo[]   held now, by name
function Store:locks() end

--- Calls handler(event) after each publish of one of the types, in this process and handle.
---@param handler fun(event: tycho.Event)
---@param types string|string[]
---@return fun() unsubscribe
function Store:subscribe(handler, types) end
---@param handler fun(event: tycho.Event)
---@return fun() unsubscribe
function Store:subscribe_to_all(handler) end
--- Subscribers for a block, in its coroutine; they are called after the others:
--- store:within(fn):subscribe(h, types):subscribe_to_all(h):call()
---@class tycho.Within
---@field subscribe fun(self: tycho.Within, handler: function, types: string|string[]): tycho.Within
---@field subscribe_to_all fun(self: tycho.Within, handler: function): tycho.Within
---@field call fun(self: tycho.Within): any
---@param block function
---@return tycho.Within
function Store:within(block) end
--- Runs fn with metadata that all events get which its coroutine appends meanwhile (an event's own
--- values win; nested calls merge). correlation_id and causation_id in it go to the fields of that
--- name. While a subscriber runs, causation_id is the id of its event and correlation_id the
--- event's own, or its id when it has none.
---@param metadata table<string, any>
---@param fn function
---@return any ...
function Store:with_metadata(metadata, fn) end
---@return table<string, any>   what with_metadata gives right now
function Store:metadata() end

---@class tycho.Finding
---@field findings string[]
---@field events integer   checked
--- Proves every index against every record. progress(done, total) is called now and then.
---@param progress? fun(done: integer, total: integer)
---@return tycho.Finding
function Store:verify(progress) end
---@param path string
function Store:backup(path) end
--- Stores data and metadata of later events compressed, for all who write to the store, by a
--- dictionary that is learnt from `sample` of its events (default 10,000, evenly from the log);
--- `off` ends that. Reading is as before. What 10 of these events or more have in common may stay
--- in the dictionary, in clear. Raises not_found when there is too little to learn from.
---@param options? {sample?: integer, off?: boolean}
---@return integer? percent   what is left of events like them
function Store:compress(options) end
---@return table<string, integer>   fields of tycho_stats
function Store:stats() end
function Store:sync() end
---@return string
function Store:path() end
function Store:close() end

--- Conditions and operations committed together. Each method returns the batch. `options`: raw;
--- append, link, link_range and delete_stream: expected_version; link, link_range: on_duplicate.
---@class tycho.Batch
---@field expect fun(self, stream: string, expected_version: any, options?: table): tycho.Batch
---@field expect_none fun(self, query: tycho.Query, after: integer): tycho.Batch
---@field expect_route fun(self, route: string, stream: string|nil): tycho.Batch
---@field expect_row fun(self, table_name: string, key: string, version: integer): tycho.Batch
---@field expect_checkpoint fun(self, name: string, position: integer): tycho.Batch
---@field expect_lock fun(self, name: string, token: integer): tycho.Batch
---@field append fun(self, stream: string?, events: any, options?: table): tycho.Batch
---@field link fun(self, stream: string, event_ids: any, options?: table): tycho.Batch
--- link_range(source, first, last, target, options): revisions, both included; last nil: to the end
--- with keep_revisions each link has the revision of its source
---@field link_range fun(self, ...: any): tycho.Batch
--- link_merged(sources, target, options): sources = {{"stream", first revision}, ...}
---@field link_merged fun(self, sources: any, target: string, options?: table): tycho.Batch
---@field unlink fun(self, stream: string, event_ids: any, options?: table): tycho.Batch
---@field delete_stream fun(self, stream: string, options?: table): tycho.Batch
---@field truncate fun(self, stream: string, before: integer, options?: table): tycho.Batch
---@field set_stream_metadata fun(self, stream: string, metadata: any, options?: table): tycho.Batch
---@field set_route fun(self, route: string, stream: string?, options?: table): tycho.Batch  closed
---@field put_row fun(self, table_name: string, key: string, value: any): tycho.Batch
---@field delete_row fun(self, table_name: string, key: string): tycho.Batch
---@field set_checkpoint fun(self, name: string, position: integer): tycho.Batch
---@field overwrite fun(self, events: any): tycho.Batch
---@field set_idempotent fun(self, idempotent?: boolean): tycho.Batch
---@field encode fun(self): string    canonical bytes
---@field decode fun(self, bytes: string): tycho.Batch
---@field commit fun(self): tycho.Receipt
---@field clear fun(self): tycho.Batch
---@field close fun(self)

--- An immutable description of a read: each step copies and validates at once; nothing is read
--- before a terminal method. A later step of the same kind replaces the earlier one.
---@class tycho.Specification
---@field stream fun(self, name: string): tycho.Specification
---@field raw fun(self): tycho.Specification
---@field stored fun(self): tycho.Specification   not as deployed event types read it
---@field forward fun(self): tycho.Specification
---@field backward fun(self): tycho.Specification
---@field limit fun(self, count: integer): tycho.Specification
---@field from fun(self, event_id: string): tycho.Specification        exclusive
---@field to fun(self, event_id: string): tycho.Specification          exclusive
---@field from_position fun(self, position: integer): tycho.Specification   exclusive
---@field to_position fun(self, position: integer): tycho.Specification     exclusive
---@field from_revision fun(self, revision: integer): tycho.Specification   exclusive
---@field to_revision fun(self, revision: integer): tycho.Specification     exclusive
---@field of_type fun(self, ...: string|string[]): tycho.Specification  any of them; none: no filter
---@field tagged fun(self, ...: string|string[]): tycho.Specification   all of them
--- matching takes the place of of_type and tagged, and they its.
---@field matching fun(self, query: tycho.Query): tycho.Specification
---@field with_id fun(self, ids: string|string[]): tycho.Specification  {}: nothing
---@field older_than fun(self, time: integer): tycho.Specification
---@field older_than_or_equal fun(self, time: integer): tycho.Specification
---@field newer_than fun(self, time: integer): tycho.Specification
---@field newer_than_or_equal fun(self, time: integer): tycho.Specification
--- between: first <= time < before
---@field between fun(self, first: integer, before: integer): tycho.Specification
---@field as_at fun(self): tycho.Specification   by time
---@field as_of fun(self): tycho.Specification   by valid_time
---@field resume fun(self, key: string): tycho.Specification   go on behind a page's `next`
---@field each fun(self): fun(): tycho.Event?     generic for; closes on break
---@field each_batch fun(self, size?: integer): fun(): tycho.Event[]?
---@field all fun(self): tycho.Event[]
---@field map fun(self, fn: fun(event: tycho.Event): any): any[]
---@field reduce fun(self, fn: fun(state: any, event: tycho.Event): any, initial: any): any
---@field page fun(self, size: integer): tycho.Event[], string?   events, key of the next page
---@field count fun(self): integer
---@field first fun(self): tycho.Event?
---@field last fun(self): tycho.Event?
---@field event fun(self, id: string): tycho.Event?   nil when it is not in the result
---@field events fun(self, ids: string[]): tycho.Event[]

return tycho
