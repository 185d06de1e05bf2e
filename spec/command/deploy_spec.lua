--- `tycho deploy`, `tycho scripts` and `tycho check-schema`, and what other verbs do in a store
--- that has scripts.
local command = require "support.command"
local lfs = require "lfs"

local EVENT = [[
return event_type {
  name = "OrderPlaced", version = 1,
  data = { customer = "string", total = "integer" },
}
]]
local EVENT_2 = [[
return event_type {
  name = "OrderPlaced", version = 2,
  data = { customer = "string", cents = "integer" },
  upcast = {
    [1] = function(data)
      data.cents = data.total * 100
      data.total = nil
      return data
    end,
  },
}
]]
local LINKER = [[
return linker {
  name = "by_customer", version = 1, from = { types = { "OrderPlaced" } },
  streams = "customer-*",
  to = function(event) return "customer-" .. event.data.customer end,
}
]]

describe("the command, with scripts", function()
  local tycho

  before_each(function()
    tycho = command.new()
    for _, name in ipairs { "shop", "shop/events", "shop/linkers", "shop/spec" } do
      assert(lfs.mkdir(tycho:path(name)))
    end
    tycho:file("shop/events/order.lua", EVENT)
    tycho:file("shop/linkers/by.lua", LINKER)
  end)
  after_each(function()
    if io.open(tycho.store) then tycho:must("verify") end
    tycho:close()
  end)

  -- Runs words of which $d is the directory.
  local function words(text) return (text:gsub("%$d", tycho.directory)) end
  local function must(text) return tycho:must(words(text)) end
  local function run(text) return tycho:run(words(text)) end

  local function fails(text, status, what, advice)
    local result = run(text)
    local first, second = result.err:match("^tycho: ([^\n]*)\n([^\n]*)\n$")
    assert.equal(status, result.status, result.err)
    assert.truthy(first and first:find(what, 1, true), result.err)
    if advice then assert.truthy(second:find(advice, 1, true), result.err) end
    return result.out
  end

  local function publish(stream, customer, total)
    return run(("publish %s OrderPlaced '{\"customer\":\"%s\",\"total\":%s}'"):format(stream,
      customer, total))
  end

  describe("tycho deploy", function()
    it("deploys a project, and says what it did", function()
      assert.equal("new        event_type/OrderPlaced 1\nnew        linker/by_customer 1\n"
        .. "deployed: 2 new\n", must("deploy $d/shop"))
      assert.equal("unchanged  event_type/OrderPlaced 1\nunchanged  linker/by_customer 1\n"
        .. "nothing to deploy: 2 unchanged\n", must("deploy $d/shop/"))
      tycho:file("shop/linkers/by.lua", (LINKER:gsub("version = 1", "version = 2")))
      local plan = "changed    linker/by_customer 1 -> 2\n"
      assert.equal(plan .. "would deploy: 1 changed\n",
        must("deploy $d/shop/linkers/by.lua --dry-run"))
      assert.equal(plan .. "removed    event_type/OrderPlaced 1\ndeployed: 1 changed, 1 removed\n",
        must("deploy $d/shop/linkers --remove event_type/OrderPlaced"))
      local objects = command.decode(must("--json deploy $d/shop"))
      assert.same({ "new", "event_type", "OrderPlaced", 1 },
        { objects[1].change, objects[1].kind, objects[1].name, objects[1].version })
    end)

    it("shows what is refused with its line, and deploys nothing", function()
      tycho:file("shop/linkers/bad.lua", "return linker {\n  name = 'x',\n  version = 1,\n"
        .. "  form = {}, to = function() end,\n}\n")
      local out = fails("deploy $d/shop", 1, "1 script refused; nothing was deployed", "correct it")
      assert.matches("\nrefused    [^\n]*/shop/linkers/bad.lua:4: there is no field 'form'", out)
      fails("scripts", 4, "there is no store")
      tycho:file("shop/linkers/bad.lua", "return linker {\n  name = 'x'\n  version = 1 }\n")
      assert.matches("bad.lua:3: '}' expected", fails("deploy $d/shop", 1, "refused"))
      must("deploy $d/shop/events")
      tycho:file("shop/linkers/bad.lua", "print('hello')")
      assert.matches("bad.lua:1: ", fails("deploy $d/shop --dry-run", 1, "refused"))
    end)

    it("refuses a source that changed under its version", function()
      must("deploy $d/shop")
      tycho:file("shop/events/order.lua", (EVENT:gsub('total = "integer"', 'total = "number"')))
      local out = fails("deploy $d/shop", 1, "1 script refused", "correct it")
      assert.truthy(out:find("order.lua:2: the source has changed and the version is still 1", 1,
        true), out)
    end)

    it("plans for a store that is yet to be made", function()
      local out, code = tycho:shell "$tycho deploy $dir/shop --dry-run 2>&1"
      assert.equal(0, code)
      assert.matches("there is no store at [^\n]*: this is what would be done in a new one", out)
      assert.matches("\nnew        event_type/OrderPlaced 1\n", out)
      assert.matches("would deploy: %d+ new", out)
      assert.is_nil(lfs.attributes(tycho.store))
      tycho:file("shop/linkers/bad.lua", "return linker { name = 'x' }")
      out, code = tycho:shell "$tycho deploy $dir/shop --dry-run 2>&1"
      assert.equal(1, code)
      assert.matches("1 script refused; nothing was deployed", out)
      assert.is_nil(lfs.attributes(tycho.store))
    end)

    it("makes no store when it is refused", function()
      tycho:file("shop/linkers/bad.lua", "return linker { name = 'x' }")
      fails("deploy $d/shop", 1, "1 script refused; nothing was deployed", "correct it")
      fails("deploy $d/shop/events --remove linker/nobody", 1, "1 script refused")
      fails("deploy --remove linker/nobody", 1, "1 script refused")
      fails("deploy --restore", 4, "there is no store")
      fails("scripts rollback linker/nobody", 4, "there is no store")
      fails("deploy $d/nothing", 4, "No such file")
      assert.is_nil(lfs.attributes(tycho.store))
      must("deploy $d/shop/events")
      assert.matches("OrderPlaced", must("scripts"))
    end)

    it("refuses wrong words, and files that are not there", function()
      fails("deploy", 2, "no file or folder")
      fails("deploy --restore $d/shop", 2, "--restore goes alone")
      fails("deploy --remove by_customer", 2, "names no script", "linker/by_customer")
      fails("deploy $d/nothing.lua", 4, "No such file")
      fails("deploy $d/shop/spec", 4, "there is no script in")
      fails("deploy --remove linker/nobody --restore --dry-run", 2, "--restore goes alone")
      fails("deploy --restore --dry-run", 4, "there is no store")
      must("deploy $d/shop")
      assert.matches("refused    linker/nobody: there is no such script\n",
        fails("deploy --remove linker/nobody", 1, "refused"))
    end)

    it("is done once by two processes that do it at once", function()
      tycho:must("publish s T")
      local out, code = tycho:shell([[
        for i in 1 2 3 4; do $tycho deploy $dir/shop >$dir/out$i 2>&1 & done
        for job in $(jobs -p); do wait $job || exit 1; done
        cat $dir/out?]])
      assert.equal(0, code, out)
      assert.equal(1, select(2, out:gsub("new        linker/by_customer 1\n", "")))
      assert.equal(3, select(2, out:gsub("unchanged  linker/by_customer 1\n", "")))
      assert.equal(2, #tycho:objects("scripts history"))
    end)
  end)

  describe("tycho scripts", function()
    it("lists and shows", function()
      must("deploy $d/shop")
      assert.matches("^event_type\tOrderPlaced\t1\t%x+\t%d+%-[^\n]+Z\n"
        .. "linker\tby_customer\t1\t%x+\t", must("scripts"))
      local list = tycho:objects("scripts")
      assert.same({ "linker", "by_customer", 1, "number" },
        { list[2].kind, list[2].name, list[2].version, type(list[2].deployed_at) })
      assert.equal(LINKER, must("scripts show linker/by_customer"))
      tycho:file("shop/linkers/by.lua", (LINKER:gsub("version = 1", "version = 2")))
      must("deploy $d/shop")
      assert.equal(LINKER, must("scripts show linker/by_customer --version 1"))
      assert.equal(2, tycho:objects("scripts show linker/by_customer")[1].version)
      fails("scripts show linker/by_customer --version 3", 4, "never had a version 3")
      fails("scripts show linker/nobody", 4, "there is no script")
      fails("scripts show nobody", 2, "names no script")
      must("deploy --remove linker/by_customer")
      fails("scripts show linker/by_customer", 4, "was removed", "--version 2")
    end)

    it("compares versions, and files with what is deployed", function()
      must("deploy $d/shop")
      assert.equal("", must("scripts diff $d/shop"))
      local changed = LINKER:gsub("version = 1", "version = 2"):gsub("customer%-", "c-")
      tycho:file("shop/linkers/by.lua", changed)
      tycho:file("shop/linkers/new.lua", (LINKER:gsub("by_customer", "other")))
      local result = run("scripts diff $d/shop")
      assert.equal(1, result.status)
      assert.truthy(result.out:find("\n+  streams = \"c-*\",\n+  to = function(event)", 1, true),
        result.out)
      assert.truthy(result.out:find("--- linker/other (not deployed)\n", 1, true), result.out)
      must("deploy $d/shop/linkers/by.lua")
      result = run("scripts diff linker/by_customer")
      assert.equal(1, result.status)
      assert.matches("^%-%-%- linker/by_customer 1\n%+%+%+ linker/by_customer 2\n@@", result.out)
      assert.equal("", must("scripts diff linker/by_customer --from 2"))
      assert.equal(1, run("scripts diff linker/by_customer --from 2 --to 1").status)
      fails("scripts diff linker/by_customer --to 7", 4, "never had a version 7")
      fails("scripts diff $d/shop --to 1", 2, "need one KIND/NAME")
      tycho:file("shop/linkers/bad.lua", "\nreturn linker {")
      fails("scripts diff $d/shop", 1, "bad.lua:2: unexpected symbol near <eof>")
    end)

    it("compares without the program diff, too", function()
      must("deploy $d/shop")
      tycho:file("shop/linkers/by.lua", (LINKER:gsub("version = 1", "version = 2")))
      must("deploy $d/shop")
      local out = tycho:shell([[
        mkdir $dir/bin
        for name in sh lua5.4 readlink dirname; do ln -s $(command -v $name) $dir/bin; done
        PATH=$dir/bin $tycho scripts diff linker/by_customer]])
      assert.equal("--- linker/by_customer 1\n+++ linker/by_customer 2\n@@ -2,1 +2,1 @@\n"
        .. '-  name = "by_customer", version = 1, from = { types = { "OrderPlaced" } },\n'
        .. '+  name = "by_customer", version = 2, from = { types = { "OrderPlaced" } },\n', out)
    end)

    it("tells the history, and rolls back", function()
      must("deploy $d/shop")
      tycho:file("shop/linkers/by.lua", (LINKER:gsub("version = 1", "version = 2")))
      must("deploy $d/shop")
      assert.equal("changed    linker/by_customer 2 -> 1\nwould deploy: 1 changed\n",
        must("scripts rollback linker/by_customer --dry-run"))
      assert.equal("changed    linker/by_customer 2 -> 1\ndeployed: 1 changed\n",
        must("scripts rollback linker/by_customer"))
      assert.equal("changed    linker/by_customer 1 -> 2\ndeployed: 1 changed\n",
        must("scripts rollback linker/by_customer --to 2"))
      fails("scripts rollback linker/by_customer --to 9", 4, "never had a version 9")
      fails("scripts rollback event_type/OrderPlaced", 4, "has no version before")
      fails("scripts rollback linker/nobody", 4, "linker/nobody was never deployed")
      local versions = {}
      for index, entry in ipairs(tycho:objects("scripts history linker/by_customer")) do
        versions[index] = entry.version
        assert.is_nil(entry.source)
      end
      assert.same({ 1, 2, 1, 2 }, versions)
      assert.equal(5, select(2, must("scripts history"):gsub("deployed", "")))
      tycho:file("shop/events/order.lua", EVENT_2)
      must("deploy $d/shop")
      fails("scripts rollback event_type/OrderPlaced", 1, "refused", "deploy a higher version")
    end)
  end)

  it("does not delete the history of scripts", function()
    must("deploy $d/shop")
    fails("delete '$scripts' --yes", 1, "the history of deployed scripts", "--remove")
  end)

  describe("publishing", function()
    it("refuses what does not fit, and links what does", function()
      must("deploy $d/shop")
      assert.equal(0, publish("o-1", "ann", 3).status)
      local result = publish("o-1", "ann", '"3"')
      assert.equal(3, result.status)
      assert.matches("^tycho: event_type/OrderPlaced version 1: data.total is [^\n]*, must be an "
        .. "integer %(event [%x-]+ of type OrderPlaced%)\n[^\n]+\n$", result.err)
      local linked = tycho:objects("read customer-ann")
      assert.same({ 1, { customer = "ann", total = 3 }, true },
        { #linked, linked[1].data, linked[1].is_link })
    end)

    it("says of an import which line is refused, and takes the others", function()
      must("deploy $d/shop")
      local file = tycho:file("lines", [[
{"stream":"o","type":"OrderPlaced","data":{"customer":"a","total":1}}
{"stream":"o","type":"OrderPlaced","data":{"customer":"b"}}
{"stream":"o","type":"OrderPlaced","data":{"customer":"c","total":3}}
]])
      fails("import " .. file, 1,
        "lines:2: event_type/OrderPlaced version 1: data.total is missing")
      assert.equal(1, #tycho:objects("read o"))
      local counts = tycho:objects("import --on-error skip " .. file)[1]
      assert.same({ 1, 1, 1 }, { counts.events, counts.existed, counts.refused })
      assert.equal(2, #tycho:objects("read o"))
    end)
  end)

  describe("an export", function()
    local function filled()
      publish("o-0", "old", 1)
      must("deploy $d/shop")
      publish("o-1", "ann", 2)
      tycho:file("shop/events/order.lua", EVENT_2)
      must("deploy $d/shop")
      tycho:must("publish o-2 OrderPlaced '{\"customer\":\"bob\",\"cents\":7}'")
      return tycho:file("lines", must("export"))
    end

    it("has the data as they are stored, and makes the same store, with its scripts", function()
      local file = filled()
      local totals = {}
      for _, object in ipairs(command.decode(must("export"))) do
        local data = object.data
        local is_order = object.event_type == "OrderPlaced"
        if is_order then totals[#totals + 1] = data.total or -data.cents end
      end
      assert.same({ 1, 2, -7 }, totals)
      local copy = { store = tycho:path("copy") }
      tycho:must("import " .. file, copy)
      tycho:must("import " .. file, copy)
      assert.equal(must("export"), tycho:must("export", copy))
      assert.equal(must("scripts"), tycho:must("scripts", copy))
      assert.equal(must("read"), tycho:must("read", copy))
      assert.equal(3, tycho:run("publish o OrderPlaced", copy).status)
      tycho:must("verify", copy)
    end)

    it("has what was overwritten as it is read, to be overwritten again", function()
      filled()
      local store = require("tycho").open(tycho.store)
      local first = store:read():of_type("OrderPlaced"):first()
      store:overwrite { id = first.id, type = first.type, data = { customer = "me", cents = 1 } }
      store:close()
      local file, copy = tycho:file("lines", must("export")), { store = tycho:path("copy") }
      assert.is_true(tycho:objects("export")[1].overwritten)
      for _ = 1, 2 do
        tycho:must("import " .. file, copy)
        assert.equal(must("read"), tycho:must("read", copy))
        assert.equal(must("export"), tycho:must("export", copy))
      end
      local event = tycho:objects("read o-0", copy)[1]
      assert.same({ customer = "me", cents = 1 }, event.data)
      tycho:must("verify", copy)
    end)

    it("has what was overwritten and cannot be read any more as it is stored", function()
      filled()
      local store = require("tycho").open(tycho.store)
      local first = store:read():of_type("OrderPlaced"):first()
      store:overwrite { id = first.id, type = first.type, data = { customer = "me", cents = 1 } }
      local source = [[return event_type { name = "OrderPlaced", version = 3, upcast = {
        function(data) return data end,
        function(data) if data.customer == "me" then error("not this one") end return data end } }]]
      store:deploy { sources = source }
      assert.is_false(pcall(store.event, store, first.id))
      store:close()
      local result = tycho:run("export")
      assert.equal(0, result.status)
      assert.matches("^tycho: the event " .. first.id:gsub("%-", "%%-") .. " at position 1 was "
        .. "overwritten, and goes out as it is stored: [^\n]*not this one[^\n]*\n[^\n]+\n$",
        result.err)
      local object = command.decode(result.out)[1]
      assert.same({ { customer = "me", cents = 1 }, first.id }, { object.data, object.event_id })
      assert.is_nil(object.overwritten)
      local copy = { store = tycho:path("copy") }
      tycho:must("import " .. tycho:file("lines", result.out), copy)
      tycho:must("verify", copy)
      assert.equal(#command.decode(result.out), #command.decode(tycho:must("export", copy)))
    end)

    it("that was imported in part gets its scripts when the rest comes", function()
      filled()
      local copy = { store = tycho:path("copy") }
      local out, code = tycho:shell(words([[
        (head -n 4 $d/lines; echo broken) | $tycho -s $d/copy import
        $tycho -s $d/copy scripts
        $tycho -s $d/copy import $d/lines && $tycho -s $d/copy scripts]]))
      assert.equal(0, code, out)
      assert.equal(1, select(2, out:gsub("by_customer", "")), out)
      assert.equal(must("scripts"), tycho:must("scripts", copy))
      assert.equal("nothing to deploy\n", tycho:must("deploy --restore", copy))
    end)

    it("that is never imported whole gets its scripts when they are asked for", function()
      filled()
      local copy = { store = tycho:path("copy") }
      tycho:shell(words("head -n 4 $d/lines | grep -v by_customer | $tycho -s $d/copy import\n"
        .. "(head -n 4 $d/lines; echo broken) | $tycho -s $d/part import"))
      assert.equal(1, #tycho:objects("scripts", copy))
      copy.store = tycho:path("part")
      assert.equal("", tycho:must("scripts", copy))
      local plan = "new        event_type/OrderPlaced 1\nnew        linker/by_customer 1\n"
      assert.equal(plan .. "would deploy: 2 new\n", tycho:must("deploy --restore --dry-run", copy))
      assert.equal(plan .. "deployed: 2 new\n", tycho:must("deploy --restore", copy))
      assert.equal(2, #tycho:objects("scripts", copy))
    end)

    it("brings no scripts into a store that has its own", function()
      local file = filled()
      local other = { store = tycho:path("other") }
      tycho:file("other.lua", LINKER)
      tycho:must(words("deploy $d/other.lua"), other)
      local result = tycho:run("import " .. file, other)
      assert.equal(1, result.status)
      assert.matches("lines:2: the store has scripts, and one history of them\n", result.err)
      tycho:must("import --on-error skip " .. file, other)
      assert.equal(1, #tycho:objects("scripts", other))
      assert.equal(1, #tycho:objects("read customer-ann", other))
    end)
  end)

  it("says what to do where an upcaster fails at a stored event", function()
    publish("o", "ann", 1)
    tycho:file("shop/events/order.lua", (EVENT_2:gsub("data.total %* 100", "data.none.x")))
    must("deploy $d/shop")
    fails("read o", 3, "line 6: attempt to index a nil value (field 'none')", "tycho export")
    must("export")
  end)

  describe("tycho check-schema", function()
    before_each(function()
      publish("o", "ann", 1)
      publish("o", "bob", '"two"')
      publish("o", "eve", 3)
      tycho:file("v2.lua", EVENT_2)
    end)

    it("tells which stored events a new version would refuse", function()
      local result = run("check-schema $d/v2.lua")
      assert.equal(1, result.status)
      assert.matches("^2 OrderPlaced [%x-]+: [^\n]*v2.lua:6: [^\n]*\n"
        .. "3 events of OrderPlaced: 1 refused by version 2\n$", result.out)
      local objects = command.decode(run("--json check-schema $d/shop/events/order.lua").out)
      assert.same({ 2, "data.total" }, { objects[1].position, objects[1].path })
      assert.same({ name = "OrderPlaced", version = 1, events = 3, refused = 1 }, objects[2])
      assert.equal("", must("scripts"))
    end)

    it("looks at the last, or at those since a time", function()
      assert.equal("1 event of OrderPlaced: 0 refused by version 2\n",
        must("check-schema $d/v2.lua --limit 1"))
      assert.equal("0 events of OrderPlaced: 0 refused by version 2\n",
        must("check-schema $d/v2.lua --since 2999-01-01"))
      assert.equal("3 events of OrderPlaced: 1 refused by version 2\n",
        run("check-schema $d/v2.lua --failures 0").out)
    end)

    it("refuses what is no event type", function()
      fails("check-schema $d/shop/linkers/by.lua", 2, "is a linker")
      fails("check-schema $d/shop", 2, "there are 2 scripts")
      fails("check-schema $d/none.lua", 4, "No such file")
      tycho:file("bad.lua", "return event_type {\n}")
      fails("check-schema $d/bad.lua", 1, "bad.lua:1: the field 'name' is missing")
      must("deploy $d/v2.lua")
      fails("check-schema $d/shop/events/order.lua", 3, "stored under version 2", "version 3")
    end)
  end)
end)
