---@meta _
--- Streams that get other names while others write to them: the half of the Lua API that is
--- scripts/tycho/stream_switch.lua. The rules are those of meta.lua.

---@class tycho.Store
local Store = {}

---@class tycho.SwitchOptions
---@field cancel? boolean          takes the links of one that has not switched out again
---@field dry_run? boolean         only says what would be done
---@field delete_source? boolean   removes the sources' old entries after the switch
---@field forward? boolean         default true; false: the old names are closed
---@field chunk? integer           entries in a batch: 1 to 10,000; default 5,000 at most
---@field pause? number            seconds between chunks; default: as others need it
---@field lock_timeout? number     seconds to wait for another process; default 10
---@field progress? fun(status: tycho.SwitchStatus)   called before, between and after the batches

--- Renames a stream while publishers keep writing: see scripts/tycho/stream_switch.lua. Refusals:
--- not_found (the source), wrong_expected_version (the target has entries, or somebody wrote to
--- it), condition_failed (names, sources or the owner of the switch changed meanwhile), busy and
--- timeout (another process does it, or publishers are faster), invalid_argument (a name is a
--- route). They have the facts what and advice.
---@class tycho.RenameOptions : tycho.SwitchOptions
---@field source string
---@field target string
---@field undo? boolean   goes back, with what was written since
---@param options tycho.RenameOptions
---@return tycho.SwitchStatus
function Store:rename(options) end
--- Merges streams into one in the order of positions, behind what that has. Revisions are new, so
--- that expected versions from before the switch do not fit. It cannot be undone.
---@class tycho.MergeOptions : tycho.SwitchOptions
---@field sources string[]   up to 64
---@field target string
---@param options tycho.MergeOptions
---@return tycho.SwitchStatus
function Store:merge(options) end
--- Splits a stream by a rule: function(event) -> name of a stream, or nil for none. What is
--- published to the source's name later goes to `default`, as does what comes in the very moment of
--- the switch when publishers are always faster than it; without one the name is closed. Cancelling
--- needs the same rule.
---@class tycho.SplitOptions : tycho.SwitchOptions
---@field source string
---@field rule fun(event: tycho.Event): string?
---@field rule_version? string   a split that was begun with another one is not continued
---@field default? string
---@param options tycho.SplitOptions
---@return tycho.SwitchStatus
function Store:split(options) end
---@class tycho.SwitchStatus
---@field kind "rename"|"merge"|"split"
---@field sources string[]
---@field target string
---@field phase "planned"|"linking"|"switched"|"deleted"|"cancelled"
---@field linked integer     entries so far
---@field total integer      entries of the sources
---@field left integer       entries to be linked yet, at most
---@field routes string[]    further names that lead to the sources, after the switch to the target
---@field forward boolean
---@field rate? number       entries a second
---@field eta? number        seconds

--- require "tycho.stream_switch": the same for hosts that drive it themselves, and the switcher,
--- the pattern with a lock and a pointer of one's own (scripts/tycho/stream_switch/switcher.lua).
---@class tycho.stream_switch
---@field prepare fun(store: tycho.Store, kind: string, options: table): tycho.Switch
---@field run fun(store: tycho.Store, kind: string, options: table): tycho.SwitchStatus
---@field switcher fun(options: table): tycho.Switcher
--- A rename, merge or split that holds its lock. Between two steps anything may happen.
---@class tycho.Switch
---@field step fun(self): tycho.SwitchStatus   one batch: a chunk, the switch, or the deletion
---@field run fun(self): tycho.SwitchStatus    all that is left
---@field status fun(self): tycho.SwitchStatus
---@field is_done fun(self): boolean
---@field close fun(self)                      the next call goes on from here
---@class tycho.Switcher
---@field publish fun(self, event: tycho.NewEvent|tycho.NewEvent[], options?: table): tycho.Receipt
---@field catchup fun(self, processed?: string): string?, boolean   id of the last; is it switched
---@field link fun(self, event: tycho.Event)
