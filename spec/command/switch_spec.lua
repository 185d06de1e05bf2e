--- The verbs rename, merge and split, and what goes with them: raw names and closed routes.
local command = require "support.command"
local process = require "support.process"

describe("tycho", function()
  local tycho

  before_each(function()
    tycho = command.new()
    for index = 1, 5 do tycho:must(("publish a T '{\"n\": %d}' --id e%d"):format(index, index)) end
    tycho:must("route set r a")
  end)
  after_each(function()
    process.clean()
    tycho:close()
  end)

  local function fails(words, status, what, todo)
    local result = tycho:run(words)
    assert.equal(status, result.status, result.err)
    assert(result.err:find(what, 1, true), result.err)
    if todo then assert(result.err:find("\n" .. todo, 1, true), result.err) end
    assert.equal("", result.out)
  end

  local function ids(words)
    local list = {}
    for index, event in ipairs(tycho:objects(words)) do list[index] = event.event_id end
    return table.concat(list, " ")
  end

  describe("rename", function()
    it("says what holds then, and how to go back", function()
      assert.equal('5 entries of "a" linked; "a" and 1 route (r) now lead to "b"\n'
        .. "undo: tycho rename a b --undo\n"
        .. "delete the old entries: tycho rename a b --delete-source\n", tycho:must("rename a b"))
      tycho:must("publish a T --id e6 --expected-version 4")
      assert.equal("e1 e2 e3 e4 e5 e6", ids("read b"))
      assert.equal("e1 e2 e3 e4 e5", ids("read a --raw"))
      assert.equal('6 entries of "b" linked; "b" and 1 route (r) now lead to "a"\n'
        .. "undo: tycho rename b a --undo\n"
        .. "delete the old entries: tycho rename b a --delete-source\n",
        tycho:must("rename a b --undo"))
      assert.equal("e1 e2 e3 e4 e5 e6", ids("read a --raw"))
      tycho:must("rename a b --chunk 2 --pause 0")
      assert.equal('6 entries of "a" linked; "a" and 1 route (r) now lead to "b"'
        .. "; the old entries are deleted\n", tycho:must("rename a b --delete-source"))
      assert.equal("", ids("read a --raw"))
      fails("rename a b --undo", 4, "cannot be undone", 'rename "b" to "a" instead')
      tycho:must("rename b \"it's\"")
      assert.truthy(tycho:must("rename b \"it's\""):find([[rename b 'it'\''s' --undo]], 1, true))
      tycho:must("verify")
    end)

    it("prints its status as JSON", function()
      local status = {
        kind = "rename", sources = { "a" }, target = "b", forward = true, linked = 0, total = 5,
        left = 5, phase = "planned", routes = { "r" },
      }
      assert.same({ status }, tycho:objects("rename a b --dry-run"))
      status.phase, status.linked, status.left, status.forward = "switched", 5, 0, false
      assert.same({ status }, tycho:objects("rename a b --no-forward"))
      fails("publish a T", 1, 'the name "a" is closed', "write to that stream")
      assert.same({ { route = "a", stream = "b", closed = true }, { route = "r", stream = "b" } },
        tycho:objects("route"))
    end)

    it("changes nothing in a dry run", function()
      assert.equal('5 entries of "a" would be linked into "b", then "a" and 1 route (r) would lead '
        .. 'to "b"\nnothing was changed\n', tycho:must("rename a b --dry-run"))
      assert.equal("r\ta\topen\n", tycho:must("route"))
      fails("rename a b --dry-run --undo", 2, "--undo and --dry-run exclude each other")
    end)

    it("fails with what is wrong and what to do", function()
      fails("rename nobody b", 4, '"nobody" does not exist', "check the name: tycho streams")
      fails("rename r b", 2, '"r" is a route: it leads to the stream "a"', "name the stream itself")
      tycho:must("publish b T --id b1")
      fails("rename a b", 3, 'the stream "b" has 1 entries of its own', "choose another name")
      fails("rename a a", 1, "the target is the source")
      fails("rename a c --chunk 0", 2, "--chunk")
      fails("rename a c --pause x", 2, '--pause: "x" is not a number of seconds')
      fails("rename a c --cancel", 4, 'no rename of "a" to "c" is under way')
      fails("rename a c --undo", 4, 'the rename of "a" to "c" is not known')
    end)

    it("goes on after Ctrl-C, and can be cancelled", function()
      local rename = process.start(("env TYCHO_STORE=%s %s rename a b --chunk 1 --pause 60 2>&1")
        :format(command.quote(tycho.store), command.program))
      local linked
      for _ = 1, 200 do
        linked = #tycho:objects("read b")
        if linked > 0 then break end
        process.sleep(0.02)
      end
      assert.equal(1, linked)
      os.execute(("kill -INT %d"):format(rename.pid))
      local status, lines = rename:wait()
      assert.same({ 130, "tycho: interrupted: 1 of 5 entries linked",
        "the same command goes on from here; to give it up: --cancel" },
        { status, lines[1], lines[2] })
      assert.equal('the rename is cancelled, and its links are taken out: nothing leads to "b"\n',
        tycho:must("rename a b --cancel"))
      assert.equal("", ids("read b"))
      assert.equal("e1 e2 e3 e4 e5", ids("read r"))
      tycho:must("rename a b")
    end)
  end)

  describe("merge", function()
    it("puts streams together in the order of positions", function()
      tycho:must("publish c T --id c1")
      tycho:must("publish a T --id e6")
      assert.equal('7 entries of "a", "c" would be linked into "all", then "a", "c" and 1 route (r)'
        .. ' would lead to "all"\nnothing was changed\n', tycho:must("merge a c all --dry-run"))
      assert.equal('7 entries of "a", "c" linked; "a", "c" and 1 route (r) now lead to "all"\n'
        .. "delete the old entries: tycho merge a c all --delete-source\n",
        tycho:must("merge a c all --chunk 2"))
      assert.equal("e1 e2 e3 e4 e5 c1 e6", ids("read all"))
      local done = tycho:must("merge a c all --delete-source")
      assert.truthy(done:find("entries are deleted", 1, true))
      assert.equal("", ids("read --raw c"))
      fails("merge a", 2, "at least 2 arguments")
      fails("merge all new --cancel", 4, 'no merge of "all" to "new" is under way')
    end)
  end)

  describe("split", function()
    it("distributes a stream by a rule in a file", function()
      local rule = tycho:file("rule.lua", "return function(event)\n"
        .. "  if event.data.n ~= 3 then return 'n' .. event.data.n % 2 end\nend\n")
      assert.truthy(tycho:must("split a " .. rule .. " --dry-run"):find("would lead to \"a/rest\""))
      assert.equal(('4 entries of "a" linked; "a" and 1 route (r) now lead to "later"\n'
        .. "delete the old entries: tycho split a %s --default later --delete-source\n")
        :format(rule), tycho:must("split a " .. rule .. " --default later"))
      assert.equal("e1 e5", ids("read n1"))
      assert.equal("e2 e4", ids("read n0"))
    end)

    it("says what is wrong with a rule", function()
      fails("split a " .. tycho:path("none.lua"), 4, "none.lua cannot be read: No such file")
      fails("split a " .. tycho:file("r1.lua", "return function("), 1, "r1.lua:1:")
      fails("split a " .. tycho:file("r2.lua", "x = 1"), 1, "r2.lua: it returns nothing",
        "it must return a function")
      fails("split a " .. tycho:file("r3.lua", "return function(e) return e.data.n.m end"), 2,
        "the rule failed at the event e1 (position 1, revision 0)", "mend the rule")
      fails("split a " .. tycho:file("r4.lua", "error('at once')"), 1, "at once")
    end)
  end)

  it("takes raw names, and refuses to delete by a name that is a route", function()
    tycho:must("rename a b")
    fails("delete a --yes", 1, '"a" is a route: it leads to "b"', "name the stream itself")
    assert.equal("a removed, with 5 entries\n", tycho:must("delete a --raw --yes"))
    fails("delete a --raw --yes", 4, 'there is no stream "a"')
    assert.equal("e1 e2 e3 e4 e5", ids("read a"))
    fails("read --raw", 2, "--raw needs a stream")
  end)

  it("sets closed routes", function()
    assert.equal("old leads to a, and refuses writers\n", tycho:must("route set old a --closed"))
    assert.equal("old\ta\tclosed\nr\ta\topen\n", tycho:must("route"))
    assert.equal("e1 e2 e3 e4 e5", ids("read old"))
    fails("publish old T", 1, "is closed", "write to that stream")
  end)

  it("exports and imports streams that were renamed", function()
    tycho:must("rename a b --no-forward")
    tycho:must("publish r T --id e6")
    tycho:must("merge b all")
    local export = tycho:must("export")
    local copy = { store = tycho:path("copy"), stdin = export }
    tycho:must("import", copy)
    tycho:must("import", copy)
    assert.equal(export, tycho:must("export", copy))
    assert.equal(tycho:must("streams"), tycho:must("streams", copy))
    assert.equal("a\tall\tclosed\nb\tall\topen\nr\tall\topen\n", tycho:must("route", copy))
    tycho:must("verify", copy)
  end)
end)
