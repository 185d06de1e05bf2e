---@meta tycho
--- The Lua API of deployed scripts, as types (LuaCATS); meta.lua has the rest, and the rules that
--- hold everywhere. What a script is: bindings/lua/host/tycho_scripts.h.

---@class tycho
local tycho = {}

--- Compiles a script that need not be deployed, to run it by hand. Raises rejected, with the line.
---@param source string
---@param label? string   for messages, such as the name of its file
---@return tycho.Script
function tycho.script(source, label) end

---@class tycho.Store
local Store = {}

--- Deploys scripts: event types, linkers and read models, which from then on every process that
--- opens the store runs for each batch and each read (bindings/lua/host/tycho_scripts.h). A script
--- is Lua text that returns one definition:
---   return event_type { name = "Paid", version = 1, data = { amount = "integer" } }
---   return linker { name = "by_city", version = 1, to = function(event) return ... end }
--- What it gives is the plan, which was carried out as one batch, on the condition that nobody
--- deployed meanwhile (it is planned anew then). A plan with a refused line raises rejected, with
--- `plan`, and changes nothing. The same source again is unchanged; another one needs a higher
--- version.
---@class tycho.DeployOptions
---@field files? string|string[]     files, and folders of a project: events/ linkers/ read_models/
---@field sources? string|table      a text, a list of texts, or texts by label (for messages)
---@field remove? string|string[]    "linker/by_city"
---@field rollback? string|table     "linker/by_city", to its version before; { [key] = version }
---@field restore? boolean           deploys what the history says; for stores that were imported
---@field dry_run? boolean           only gives the plan, refused lines too
---@class tycho.Change
---@field change "new"|"changed"|"unchanged"|"removed"|"refused"
---@field file string         file or label
---@field kind? "event_type"|"linker"|"read_model"   absent when it is not known
---@field name? string
---@field version? integer
---@field old_version? integer
---@field line? integer       of what is refused
---@field message? string     why
---@param options tycho.DeployOptions
---@return tycho.Change[]
function Store:deploy(options) end
---@class tycho.ScriptInfo
---@field kind string
---@field name string
---@field version integer
---@field hash string
---@field deployed_at integer
---@return tycho.ScriptInfo[]   by kind and name
function Store:scripts() end
--- A script that is deployed now, or nil.
---@param kind "event_type"|"linker"|"read_model"
---@param name string
---@return tycho.Script?
function Store:script(kind, name) end
--- What was deployed and removed, from the first on; of one kind, of one script.
---@class tycho.ScriptHistory
---@field change "deployed"|"removed"
---@field kind string
---@field name string
---@field version integer
---@field hash string
---@field source string
---@field time integer
---@field position integer
---@param kind? string
---@param name? string
---@return tycho.ScriptHistory[]
function Store:script_history(kind, name) end
--- Tries an event type, deployed or not, on the stored events of its name and former names: each is
--- brought to its version and checked as if it were appended now.
---@class tycho.CheckOptions
---@field since? integer          only events with this time or a later one
---@field limit? integer          only the last so many
---@field failures_max? integer   how many to keep; default 10
---@field progress? fun(done: integer, total: integer)
---@class tycho.CheckResult
---@field events integer          tried
---@field refused integer
---@field failures tycho.Error[]  the first; with a limit the last
---@param event_type tycho.Script
---@param options? tycho.CheckOptions
---@return tycho.CheckResult
function Store:check_history(event_type, options) end

--- A script to be run by hand: in tests, or to see what it does.
---@class tycho.Script
---@field kind string
---@field name string
---@field version integer
---@field hash string
---@field source string
---@field types string[]            that it reads; none: all
---@field deployed_at? integer
---@field former_names? string[]    event type
---@field has_schema? boolean
---@field has_check? boolean
---@field has_tags? boolean
---@field tags? string[]            linker: those that an event must have
---@field category? string
---@field is_ready_made? boolean
---@field prefix? string            ready-made linker, read model: of the names of its streams
---@field order? "position"|"time"|"valid_time"   read model
---@field has_history? boolean
--- What it adds to an event, a table or one that was read: {tags = {...}, links = {...}}. Raises
--- rejected where it refuses it. `stream` may be a field of the table.
---@field expand fun(self, event: table|tycho.Event): { tags: string[], links: string[] }
--- The same as a question: true; or nil and the tycho.Error.
---@field check fun(self, event: table|tycho.Event): true?, tycho.Error?
--- The data of an event of version `from`, as its present version has it.
---@field upcast fun(self, event: table|tycho.Event, from: integer): any
---@field close fun(self)

---@class tycho.Rejection : tycho.Error   code "rejected": a script refused it, or a plan is refused
---@field script string          "event_type/Order"
---@field version? integer       of the script
---@field line? integer          of its source
---@field path? string           what does not fit the schema ("data.lines[2].count")
---@field reason string          the message without the other facts
---@field traceback? string
---@field event_type? string
---@field key? string            of the instance of a read model
---@field position? integer      of a stored event
---@field is_over_limit? boolean it used up its instructions or its memory
---@field file? string           of a refused plan: of its first refused line
---@field plan? tycho.Change[]   of a refused plan

--- An on-demand read model (tycho_scripts.h, section 7): the instance of a key is made when it is
--- first asked for, from its old events, and then kept up to date. Refusals: not_found (it is not
--- deployed), rejected (a handler or history failed, with the facts key, position and line).
---@param name string
---@return tycho.Model
function Store:model(name) end
---@class tycho.Model
local Model = {}
---@return string
function Model:name() end
--- The state of an instance, and what is known of the answer. An integer is taken as its digits.
---@class tycho.GetOptions
---@field fresh? boolean            folds all events; uses and makes no snapshot
---@field snapshot_after? integer   events behind the snapshot that make a new one; default 100
---@field timeout? number           seconds to wait for another's catch-up; default 30
---@class tycho.Answer
---@field position integer       the head of the store for which it holds
---@field version integer        of the model
---@field events integer         folded since init
---@field folded integer         of them just now; 0: the state was a snapshot
---@field linked integer         old events linked just now
---@field is_known boolean       false: there was never an event for this key
---@field was_caught_up boolean  this call did the catch-up
---@field snapshot? string       a new one was due: "ok", or why it was not stored
---@param key string|integer
---@param options? tycho.GetOptions
---@return any state, tycho.Answer answer
function Model:get(key, options) end
--- Of one instance, or, without a key, the totals.
---@class tycho.ModelStatus
---@field version integer
---@field instances integer   caught up at some time
---@field current integer     of them as the present scripts have it
---@field snapshots integer
---@class tycho.InstanceStatus
---@field is_caught_up boolean
---@field is_current boolean
---@field entries integer           events in its stream
---@field version? integer          the fields from here on: when it is caught up
---@field caught_up_at? integer     microseconds
---@field position? integer         up to which history was read
---@field linked? integer           old events that were found
---@field snapshot_events? integer
---@field snapshot_size? integer
---@field behind? integer           events that are not in the snapshot
---@param key? string|integer
---@return tycho.ModelStatus|tycho.InstanceStatus
function Model:status(key) end
--- Catches up instances in large batches. May be broken off anywhere and called again. When the
--- history of some fails it raises the first failure, when all others are done.
---@class tycho.PrepareOptions
---@field progress? fun(now: tycho.Prepared)
---@class tycho.Prepared
---@field done integer
---@field total integer
---@field linked integer
---@field failed integer
---@param keys (string|integer)[]
---@param options? tycho.PrepareOptions
---@return tycho.Prepared
function Model:prepare(keys, options) end
--- The same for all instances that were caught up and are not as the present scripts have it: after
--- a version that reads more.
---@param options? tycho.PrepareOptions
---@return tycho.Prepared
function Model:maintain(options) end
--- Deletes the instance's stream, snapshot and row: the next get begins anew, from its history.
---@param key string|integer
function Model:forget(key) end
function Model:close() end

return tycho
