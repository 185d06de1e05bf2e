--- Deploying scripts: a plan made of files, texts and what is to go, and the batch that carries it
--- out. What is deployed are rows of the table "tycho.scripts", and the stream "$scripts" is their
--- history (bindings/lua/host/tycho_scripts.h, section 4).
---
--- A project is a folder with *.lua in events/, linkers/ and read_models/; the names of the files
--- are free, and each has one definition.
local Batch = require "tycho.batch"
local check = require "tycho.check"
local core = require "tycho.core"
local script = require "tycho.script"

core.own()

local deploy = {}

local OPTIONS = { "files", "sources", "remove", "rollback", "restore", "dry_run" }
local FOLDERS = { "events", "linkers", "read_models" }
local KINDS = { event_type = true, linker = true, read_model = true }
local TABLE, HISTORY = "tycho.scripts", "$scripts"
local ATTEMPTS = 20

-- ---------------------------------------------------------------- what is deployed

--- The deployed scripts, by kind and name.
function deploy.list(store)
  local list = {}
  for _, row in store:rows(TABLE) do
    list[#list + 1] = {
      kind = row.kind, name = row.name, version = row.version, hash = row.hash,
      deployed_at = row.deployed_at,
    }
  end
  return list
end

--- What was deployed and removed, from the first on; of one script, when it is named. From the log,
--- so that nothing is missing that was taken out of the stream.
function deploy.history(store, kind, name)
  local list = {}
  local read = store:read():stored():of_type("ScriptDeployed", "ScriptRemoved")
  for event in read:each() do
    local data = event.data
    local is_one = event.stream == HISTORY and type(data) == "table" and KINDS[data.kind]
      and data.name and data.version
    if is_one and (kind == nil or kind == data.kind) and (name == nil or name == data.name) then
      list[#list + 1] = {
        change = event.type == "ScriptRemoved" and "removed" or "deployed",
        kind = data.kind, name = data.name, version = data.version, hash = data.hash,
        source = data.source, time = event.time, position = event.position,
      }
    end
  end
  return list
end

--- "linker/by_customer" as kind and name.
function deploy.split(key, what)
  local kind, name = check.name(key, what):match("^([^/]*)/(.+)$")
  if not KINDS[kind] then
    core.misuse(('%s must be "event_type/NAME", "linker/NAME" or "read_model/NAME", got %q')
      :format(what, key))
  end
  return kind, name
end

-- ---------------------------------------------------------------- reading files

--- The text of one file: { label, source }.
function deploy.read_file(path)
  local file, message = io.open(path, "rb")
  local text = nil
  if file then
    text, message = file:read("a")
    file:close()
  end
  if text then return { label = path, source = text } end
  message = message:gsub("^.*: ", "")
  check.refuse(message:find("^No such file") and "not_found" or "io",
    ("the script %s cannot be read: %s"):format(path, message), "check its name and permissions")
end

local function add_folder(list, path, names)
  table.sort(names)
  for _, name in ipairs(names) do
    if name:find("%.lua$") then list[#list + 1] = deploy.read_file(path .. "/" .. name) end
  end
end

--- The scripts of a project, or of a folder that has none of the three but files.
local function add_project(list, path, names)
  local before, is_project = #list, false
  path = path:gsub("(.)/+$", "%1")
  for _, folder in ipairs(FOLDERS) do
    local inside, message = core.directory(path .. "/" .. folder)
    if inside then
      is_project = true
      add_folder(list, path .. "/" .. folder, inside)
    elseif message and not message:find("^No such file") then
      check.refuse("io", ("the folder %s/%s cannot be read: %s"):format(path, folder, message),
        "check its permissions")
    end
  end
  if not is_project then add_folder(list, path, names) end
  if #list == before then
    check.refuse("not_found", ("there is no script in %s"):format(path),
      "scripts are *.lua in events/, linkers/ and read_models/ of a project")
  end
end

--- The texts of files and folders: a list of { label, source }.
function deploy.read(paths)
  local list = {}
  for _, path in ipairs(check.names(paths, "files")) do
    local names, message = core.directory(path)
    if names then
      add_project(list, path, names)
    elseif message and not message:find("^No such file") then
      check.refuse("io", ("%s cannot be read: %s"):format(path, message), "check its permissions")
    else
      list[#list + 1] = deploy.read_file(path)
    end
  end
  return list
end

-- ---------------------------------------------------------------- what is asked for

local function add_sources(list, sources)
  if type(sources) == "string" then sources = { sources } end
  local labels = {}
  for label in pairs(check.table(sources, "sources")) do labels[#labels + 1] = label end
  table.sort(labels, function(a, b) -- numbers first
    if type(a) ~= type(b) then return type(a) == "number" end
    if type(a) == "number" then return a < b end
    return tostring(a) < tostring(b)
  end)
  for _, label in ipairs(labels) do
    local place = type(label) == "string" and label or ("sources[%s]"):format(label)
    list[#list + 1] = { label = place, source = check.string(sources[label], place) }
  end
end

--- The version to which a script goes back: the one asked for, else the highest below the present.
local function find_version(store, kind, name, to)
  local present = store:row(TABLE, kind .. "/" .. name)
  local below = present and present.version or math.maxinteger
  local found
  for _, entry in ipairs(deploy.history(store, kind, name)) do
    local is_better = entry.version < below and (not found or entry.version >= found.version)
    if to == entry.version or (not to and is_better) then found = entry end
  end
  if found then return found end
  check.refuse("not_found", to and ("%s/%s never had a version %d"):format(kind, name, to)
    or present and ("%s/%s has no version before version %d"):format(kind, name, present.version)
    or ("%s/%s was never deployed"):format(kind, name),
    "see what it had with: tycho scripts history")
end

local function add_rollbacks(list, store, rollback)
  if type(rollback) == "string" then rollback = { rollback } end
  local keys, versions = {}, {}
  for key, value in pairs(check.table(rollback, "rollback")) do
    local is_versioned = type(key) == "string"
    key = is_versioned and key or check.name(value, "rollback")
    versions[key] = is_versioned and check.integer(value, "rollback: version", 1) or nil
    keys[#keys + 1] = key
  end
  table.sort(keys)
  for _, key in ipairs(keys) do
    local kind, name = deploy.split(key, "rollback")
    local entry = find_version(store, kind, name, versions[key])
    list[#list + 1] = {
      label = ("%s version %d"):format(key, entry.version), source = entry.source,
      is_rollback = true,
    }
  end
end

--- All that is to be planned, in this order: { label, source } or { label, kind, name }.
local function gather(store, options)
  local work = options.files ~= nil and deploy.read(options.files) or {}
  if options.sources ~= nil then add_sources(work, options.sources) end
  if options.rollback ~= nil then add_rollbacks(work, store, options.rollback) end
  for _, key in ipairs(options.remove and check.names(options.remove, "remove") or {}) do
    local kind, name = deploy.split(key, "remove")
    work[#work + 1] = { label = key, kind = kind, name = name }
  end
  return work
end

-- ---------------------------------------------------------------- the plan

--- "FILE:12: why", as compilers say it.
local function place_of(line)
  return line.line and ("%s:%d"):format(line.file, line.line) or line.file
end

local function make_plan(deployment, work)
  for _, item in ipairs(work) do
    if item.source then
      deployment:put(item.label, item.source, item.is_rollback)
    else
      deployment:remove(item.kind, item.name)
    end
  end
  local plan = deployment:plan()
  for index, line in ipairs(plan) do line.file = work[index].label end
  return plan
end

--- Raises the first refused line of a plan, when there is one.
local function refuse(plan)
  local first, count = nil, 0
  for _, line in ipairs(plan) do
    if line.change == "refused" then
      first, count = first or line, count + 1
    end
  end
  if not first then return end
  local what = ("%s: %s"):format(place_of(first), first.message)
  if count > 1 then what = ("%s (and %d more)"):format(what, count - 1) end
  error(core.refusal {
    code = "rejected", message = what .. "; nothing was deployed", what = what,
    advice = "nothing was deployed", reason = first.message, file = first.file, line = first.line,
    script = first.kind and first.kind .. "/" .. first.name, version = first.version, plan = plan,
  }, 0)
end

local function changes(plan)
  for _, line in ipairs(plan) do
    if line.change ~= "unchanged" and line.change ~= "refused" then return true end
  end
  return false
end

-- ---------------------------------------------------------------- restoring

--- Writes the rows that the history says there should be: what an import does, whose events of the
--- history came before the scripts were in force.
local function restore(store, is_dry)
  local last, keys, plan = {}, {}, {}
  local batch <close> = Batch.new(store)
  batch:expect(HISTORY, store:stream_version(HISTORY, { raw = true }), { raw = true })
  for _, entry in ipairs(deploy.history(store)) do
    local key = entry.kind .. "/" .. entry.name
    if not last[key] then keys[#keys + 1] = key end
    last[key] = entry
  end
  for _, key in ipairs(keys) do
    local entry, present = last[key], store:row(TABLE, key)
    if entry.change == "deployed" and not (present and present.hash == entry.hash) then
      script.compile(entry.source, key):close()
      batch.box:deploy_row(key, {
        deployed_at = entry.time, hash = entry.hash, kind = entry.kind, name = entry.name,
        source = entry.source, version = entry.version,
      })
      plan[#plan + 1] = {
        change = present and "changed" or "new", kind = entry.kind, name = entry.name,
        version = entry.version, old_version = present and present.version, file = HISTORY,
      }
    end
  end
  if #plan > 0 and not is_dry then batch:commit() end
  return plan
end

-- ---------------------------------------------------------------- carrying it out

--- Plans and commits; see tycho.Store:deploy. Another deployment in between makes it plan anew.
function deploy.run(store, box, options)
  options = check.options(options, OPTIONS)
  local is_dry = check.boolean(options.dry_run, "dry_run")
  local is_restored = check.boolean(options.restore, "restore")
  local work = gather(store, options)
  if is_restored and #work > 0 then core.misuse("restore goes with no other option but dry_run") end
  if is_restored then return restore(store, is_dry) end
  if #work == 0 then core.misuse("nothing to deploy: give files, sources, remove or rollback") end
  for attempt = 1, ATTEMPTS do
    local deployment <close> = box:deployment()
    local plan = make_plan(deployment, work)
    if is_dry then return plan end
    refuse(plan)
    if not changes(plan) then return plan end
    local batch <close> = Batch.new(store)
    batch.box:deploy(deployment)
    local ok, err = pcall(batch.commit, batch)
    if ok then return plan end
    local is_late = type(err) == "table" and err.code == "wrong_expected_version"
    if not is_late or attempt == ATTEMPTS then error(err, 0) end
  end
end

--- Raises what refuses sources and removals in a store that is yet to be made.
function deploy.check_new(sources, remove)
  local deployment <close> = core.deployment()
  refuse(make_plan(deployment, gather(nil, { sources = sources, remove = remove })))
end

return deploy
