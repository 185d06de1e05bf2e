--- meta.lua and meta/ against what is exported, in both directions: what is documented exists, and
--- what exists is documented.

local tycho = require "tycho"

--- Notes the fields and methods of the classes of a file in classes[name]. A class has those of its
--- parent, which stands before it.
local function parse(path, classes)
  local of_variable, current = {}, nil
  local function note(class, name)
    classes[class] = classes[class] or {}
    classes[class][name] = true
  end
  for line in io.lines(path) do
    local class, parent = line:match("^%-%-%-@class ([%w_.]+) ?:? ?([%w_.]*)")
    local field = line:match("^%-%-%-@field ([%w_]+)")
    local variable = line:match("^local ([%w_]+) = {}")
    local owner, name = line:match("^function ([%w_]+)[.:]([%w_]+)%(")
    local constant = line:match("^tycho%.([%w_]+) = ")
    if class then
      current = class
      classes[class] = classes[class] or {}
      for inherited in pairs(classes[parent] or {}) do note(class, inherited) end
    elseif field then
      note(current, field)
    elseif variable then
      of_variable[variable] = current
    elseif owner then
      note(of_variable[owner], name)
    elseif constant then
      note("tycho", constant)
    end
  end
  return classes
end

local function sorted(set)
  local names = {}
  for name in pairs(set) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- The public names of an object's class.
local function methods(object)
  local names = {}
  for name, value in pairs(getmetatable(object).__index) do
    if type(value) == "function" and name:sub(1, 2) ~= "__" then names[name] = true end
  end
  return names
end

local function keys(...)
  local names = {}
  for _, object in ipairs { ... } do
    for name in pairs(object) do names[name] = true end
  end
  return names
end

local function error_of(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

local EVERY_FIELD = {
  type = "t", data = {}, metadata = { by = "me" }, id = "full", time = 1, valid_time = 2,
  tags = { "tag" }, correlation_id = "c1", causation_id = "c2",
}

describe("meta.lua", function()
  local documented = {}
  for _, name in ipairs { "tycho.meta", "tycho.meta.stream_switch", "tycho.meta.scripts" } do
    parse(package.searchpath(name, package.path), documented)
  end
  local fresh = require("support.store")()

  local function same(class, exported)
    assert.same(sorted(documented[class]), sorted(exported))
  end

  it("has the module", function()
    same("tycho", keys(tycho))
    same("tycho.codec", keys(tycho.json, tycho.msgpack))
    same("tycho.codec", keys(tycho.json))
    assert.equal("xyz", tycho.binary("xyz").bytes)
    same("tycho.Binary", { bytes = true })
  end)

  it("has the methods of each class", function()
    local store = fresh()
    same("tycho.Store", methods(store))
    same("tycho.Batch", methods(store:batch()))
    same("tycho.Specification", methods(store:read()))
    same("tycho.Within", methods(store:within(print)))
    local snapshot <close> = store:snapshot()
    same("tycho.Snapshot", methods(snapshot))
    local follower <close> = store:follow()
    same("tycho.Follower", methods(follower))
  end)

  it("has the fields of an event", function()
    local store = fresh()
    store:append("a", EVERY_FIELD)
    store:append("a", { id = "text", type = "text", data = "x", content_type = "text/plain" })
    store:deploy { sources = [[return event_type { name = "text", version = 1 }]] }
    store:overwrite { id = "text", type = "text", data = "y", content_type = "text/plain" }
    local first, second = table.unpack(store:read():all())
    local exported = keys(first, second)
    for _, method in ipairs { "field", "to_table" } do
      assert.equal("function", type(first[method]))
      exported[method] = true
    end
    same("tycho.Event", exported)
  end)

  it("has the fields of a new event", function()
    local store, accepted = fresh(), { content_type = true }
    for name in pairs(EVERY_FIELD) do accepted[name] = true end
    same("tycho.NewEvent", accepted)
    assert.has_no_error(function() store:append("a", EVERY_FIELD) end)
    for name in pairs(documented["tycho.Event"]) do
      if not accepted[name] then
        local err = error_of(store.append, store, "a", { type = "t", [name] = 1 })
        assert.truthy(tostring(err):find(name, 1, true))
      end
    end
  end)

  it("has the fields of a receipt and of its results", function()
    local store = fresh()
    local appended = store:append("a", { type = "t" })
    local first_route = store:set_route("r", "a")
    local second_route = store:set_route("r", "b")
    same("tycho.Receipt", keys(appended))
    same("tycho.Result", keys(appended.results[1], first_route.results[1],
      second_route.results[1]))
  end)

  it("has the fields of errors", function()
    local store = fresh()
    store:append("a", { type = "t", id = "one" })
    local version = error_of(store.append, store, "a", { type = "t" }, { expected_version = 7 })
    local duplicate = error_of(store.append, store, "b", { type = "t", id = "one" })
    local condition = error_of(store.batch, store, function(batch)
      batch:expect_checkpoint("c", 3):set_checkpoint("c", 4)
    end)
    local ours = error_of(store.rename, store, { source = "nobody", target = "b" })
    local lock <close> = store:lock("a")
    local busy = error_of(store.lock, store, "a")
    same("tycho.Error", keys(version, duplicate, condition, busy, ours))
    same("tycho.Lock", methods(lock))
    same("tycho.LockInfo", keys(store:locks()[1]))
  end)

  it("has what scripts are, and what they refuse", function()
    local store = fresh()
    local linker = 'return linker { name = "l", version = 1, by = "type" }'
    local model = [[return read_model { name = "m", version = 1, types = { "T" },
      keys = function(event) return event.data.id end, init = function() return {} end,
      on = { T = function(state, event) state.last = event.id + event.data.id end } }]]
    local event_type = [[return event_type { name = "E", version = 1, data = { a = "integer" },
      check = function(data) local x = data.a + {} end }]]
    local hog = [[return linker { name = "c", version = 1, from = { category = "c" },
      streams = "*", to = function(event) while event.type == "loop" do end end }]]
    store:append("s", { type = "E", data = {} })
    local plan = store:deploy { sources = { linker, model, event_type, hog } }
    local bad, newer = linker:gsub("}", ", x = 1 }"), linker:gsub("1", "2")
    local refused_plan = store:deploy { sources = { bad, newer }, dry_run = true }
    same("tycho.Change", keys(plan[1], table.unpack(refused_plan)))
    same("tycho.ScriptInfo", keys(store:scripts()[1]))
    same("tycho.ScriptHistory", keys(store:script_history()[1]))
    local scripts = {}
    for _, info in ipairs(store:scripts()) do
      scripts[#scripts + 1] = store:script(info.kind, info.name)
    end
    local exported = keys(table.unpack(scripts))
    for name in pairs(methods(scripts[1])) do exported[name] = true end
    exported.box = nil
    same("tycho.Script", exported)

    local checked = store:check_history(store:script("event_type", "E"))
    same("tycho.CheckResult", keys(checked))
    local function refused(event) return error_of(store.append, store, "c-1", event) end
    local rejections = keys(checked.failures[1], refused { type = "E", data = { a = "x" } },
      refused { type = "E", data = { a = 1 } }, refused { type = "loop" },
      error_of(store.deploy, store, { sources = "return linker {\n x = 1 }" }))
    rejections.key = true -- of a read model: spec/lua/model_spec.lua
    for name in pairs(documented["tycho.Error"]) do rejections[name] = true end
    same("tycho.Rejection", rejections)
  end)

  it("has what read models answer", function()
    local store = fresh()
    store:deploy { sources = { [[return read_model { name = "m", version = 1, types = { "T" },
      keys = function(event) return event.data.id end, init = function() return {} end,
      on = { T = function() end } }]] } }
    store:append("s", { type = "T", data = { id = 1 } })
    local model <close> = store:model("m")
    same("tycho.Model", methods(model))
    local _, answer = model:get(1, { snapshot_after = 1 })
    same("tycho.Answer", keys(answer))
    same("tycho.ModelStatus", keys(model:status()))
    same("tycho.InstanceStatus", keys(model:status(1)))
    same("tycho.Prepared", keys(model:prepare { 1, 2 }))
  end)

  it("has the status of a rename", function()
    local store, seen = fresh(), {}
    for _ = 1, 3 do store:append("a", { type = "t" }) end
    store:rename { source = "a", target = "b", chunk = 1, progress = function(status)
      seen[#seen + 1] = status
    end }
    same("tycho.SwitchStatus", keys(table.unpack(seen)))
  end)

  it("has the status of a back-fill", function()
    local store, seen = fresh(), {}
    local source = 'return linker { name = "l", version = %d, by = "type", prefix = "%s" }'
    store:deploy { sources = source:format(1, "a") }
    for _ = 1, 3 do store:append("a", { type = "t" }) end
    store:backfill { source = source:format(2, "b"), chunk = 1, progress = function(status)
      seen[#seen + 1] = status
    end }
    same("tycho.BackfillStatus", keys(table.unpack(seen)))
  end)

  it("has the methods of what drives a rename, and of the switcher", function()
    local store, stream_switch = fresh(), require "tycho.stream_switch"
    store:append("a", { type = "t" })
    local switch <close> = stream_switch.prepare(store, "rename", { source = "a", target = "b" })
    same("tycho.Switch", methods(switch))
    same("tycho.Switcher",
      methods(stream_switch.switcher { store = store, source = "a", target = "c" }))
    same("tycho.stream_switch", keys(stream_switch))
  end)

  it("has what verify and salvage give", function()
    local store = fresh()
    same("tycho.Finding", keys(store:verify()))
    same("tycho.Salvaged", keys(tycho.salvage(store:path())))
  end)

  it("has all options, and no others are taken", function()
    local store = fresh()
    store:deploy { sources = { [[return read_model { name = "m", version = 1, types = { "T" },
      keys = function() end, init = function() return {} end, on = { T = function() end } }]] } }
    local model <close> = store:model("m")
    local cases = {
      ["tycho.OpenOptions"] = { tycho.open, "/nowhere/at/all" },
      ["tycho.WriteOptions"] = { store.append, store, "a", { type = "t" } },
      ["tycho.ListOptions"] = { store.streams, store },
      ["tycho.RenameOptions"] = { store.rename, store },
      ["tycho.MergeOptions"] = { store.merge, store },
      ["tycho.SplitOptions"] = { store.split, store },
      ["tycho.BackfillOptions"] = { store.backfill, store },
      ["tycho.DeployOptions"] = { store.deploy, store },
      ["tycho.CheckOptions"] = { store.check_history, store,
        tycho.script('return event_type { name = "E", version = 1 }') },
      ["tycho.GetOptions"] = { model.get, model, "k" },
      ["tycho.PrepareOptions"] = { model.prepare, model, {} },
      ["tycho.QueryItem"] = { function(item) return store:read():matching(item) end },
    }
    for class, call in pairs(cases) do
      call[#call + 1] = { no_such_option = true }
      local known = tostring(error_of(table.unpack(call))):match("known: (.-)%)$")
      local taken = {}
      for name in known:gmatch("[%w_]+") do taken[name] = true end
      same(class, taken)
    end
  end)
end)
