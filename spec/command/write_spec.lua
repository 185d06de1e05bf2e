--- The verbs publish, read, event, streams, types, link, unlink, delete and route.
local command = require "support.command"

describe("tycho", function()
  local tycho

  before_each(function() tycho = command.new() end)
  after_each(function() tycho:close() end)

  local function fails(words, status, what, options)
    local result = tycho:run(words, options)
    assert.equal(status, result.status, result.err)
    assert(result.err:find(what, 1, true), result.err)
    return result
  end

  describe("publish", function()
    it("writes one event with everything that it is given", function()
      local written = tycho:objects([[publish order-1 Paid '{"cents": 9007199254740993}' --id e1]]
        .. [[ --tag a --tag b --metadata '{"user": "ada"}' --time 2024-02-03T04:05:06Z]]
        .. " --valid-at 1000000 --expected-version none")
      assert.same({ {
        event_id = "e1", event_type = "Paid", stream = "order-1", position = 1, revision = 0,
      } }, written)
      local read = tycho:objects("read order-1")
      assert.same({ {
        event_id = "e1", event_type = "Paid", data = { cents = 9007199254740993 },
        metadata = { user = "ada" }, timestamp = 1706933106000000, valid_at = 1000000,
        position = 1, stream = "order-1", revision = 0, tags = { "a", "b" },
      } }, read)
    end)

    it("takes data from standard input", function()
      tycho:must("publish s T -", { stdin = "[1, 2.5, null]\n" })
      assert.same({ 1, 2.5, command.null }, tycho:objects("read s")[1].data)
    end)

    it("takes events as lines, all or none", function()
      local lines = '{"type": "A", "data": {"x": 1}}\n{"event_type": "B", "time": "2024-01-01"}\n'
      assert.equal(2, #tycho:objects("publish s", { stdin = lines }))
      fails("publish s", 1, "standard input:3: not JSON", { stdin = lines .. "{\n" })
      fails("publish s", 1, 'standard input:1: the line is of stream "other"',
        { stdin = '{"type": "A", "stream": "other"}' })
      fails("publish s", 2, "no event on standard input", { stdin = "" })
      local events = tycho:objects("read s")
      assert.same({ "A", "B" }, { events[1].event_type, events[2].event_type })
      assert.equal(1704067200000000, events[2].timestamp)
      assert.equal(2, #events)
    end)

    it("ends with 3 on a conflict and names the versions", function()
      tycho:must("publish s T")
      tycho:must("publish s T --expected-version 0")
      fails("publish s T --expected-version 0", 3, "1")
      fails("publish s T --expected-version none", 3, "s")
      fails("publish other T --expected-version exists", 3, "other")
      tycho:must("publish s T --id e")
      fails("publish s T --id e", 3, "e")
      assert.equal(3, tycho:objects("streams")[1].count)
    end)

    it("refuses data and names that are not valid or too long, and says why", function()
      fails([[publish s T '{"a": NaN}']], 2, "not JSON")
      fails([[publish s T '{"a": 1} x']], 2, "not JSON")
      fails([[publish s T '{}' --metadata '[1]']], 2, "--metadata")
      fails([[publish "$(printf 'a\nb')" T]], 2, "stream")
      fails([[publish "$(printf 'a\377b')" T]], 2, "stream")
      fails("publish s " .. ("t"):rep(256), 1, "type")
      fails("publish s T --id " .. ("i"):rep(65), 1, "id")
      assert.same({}, tycho:objects("read"))
    end)
  end)

  describe("read", function()
    before_each(function()
      local lines = {}
      for i = 1, 10 do
        lines[i] = command.encode {
          stream = i % 2 == 0 and "even" or "odd", type = i % 3 == 0 and "Third" or "Other",
          id = "e" .. i, time = (100 - i) * 1000000, valid_at = i * 1000000,
          tags = { "n:" .. i, i < 6 and "low" or nil },
        }
      end
      tycho:must("import", { stdin = table.concat(lines, "\n") })
    end)

    local function ids(words)
      local list = {}
      for _, event in ipairs(tycho:objects("read " .. words)) do
        list[#list + 1] = event.event_id
      end
      return table.concat(list, " ")
    end

    it("reads the log or a stream, forward and backward, so many, from and to", function()
      assert.equal("e1 e2 e3 e4 e5 e6 e7 e8 e9 e10", ids(""))
      assert.equal("e2 e4 e6 e8 e10", ids("even"))
      assert.equal("e10 e8", ids("even --backward --limit 2"))
      assert.equal("e4 e5", ids("--from e3 --to e6"))
      assert.equal("e5 e4", ids("-b --from e6 --to e3"))
      assert.equal("e9 e10", ids("--after-position 8"))
      assert.equal("", ids("nothing"))
    end)

    it("filters by type, tag and time", function()
      assert.equal("e3 e6 e9", ids("--type Third"))
      assert.equal("e3 e6 e9", ids("--type Third --type Missing"))
      assert.equal("e3", ids("--type Third --tag low"))
      assert.equal("e4", ids("--tag low --tag n:4"))
      assert.equal("e8 e9 e10", ids("--until 1970-01-01T00:01:33Z"))
      assert.equal("e1 e2", ids("--since 98000000"))
    end)

    it("sorts by time and by the time since when events hold", function()
      assert.equal("e10 e9 e8", ids("--as-at --limit 3"))
      assert.equal("e1 e2 e3", ids("--as-of --limit 3"))
      assert.equal("e10 e9", ids("--as-of -b --limit 2"))
    end)

    it("ends with 4 when the event to read from is unknown", function()
      fails("read --from nothing", 4, "nothing")
    end)

    it("follows the log", function()
      local out = tycho:shell([[
        timeout 60 $tycho read --follow --after-position 9 --limit 3 --json > $dir/followed &
        for i in $(seq 300); do [ -s $dir/followed ] && break; sleep 0.1; done
        $tycho publish new A --id n1 > $dir/o; $tycho publish new A --id n2 > $dir/o
        wait $!
        grep -o '"event_id":"[^"]*"' $dir/followed
      ]])
      assert.equal('"event_id":"e10"\n"event_id":"n1"\n"event_id":"n2"\n', out)
    end)

    it("follows a stream, links among its entries", function()
      local out = tycho:shell([[
        timeout 60 $tycho read even --follow --limit 7 --json > $dir/followed &
        for i in $(seq 300); do [ -s $dir/followed ] && break; sleep 0.1; done
        $tycho link even e1 > $dir/o
        $tycho publish odd A > $dir/o
        $tycho publish even A --id n1 > $dir/o
        wait $!
        grep -o '"event_id":"[^"]*"' $dir/followed | tail -n 2
      ]])
      assert.equal('"event_id":"e1"\n"event_id":"n1"\n', out)
    end)

    it("ends following when nothing came for a while", function()
      assert.equal("e2 e4 e6 e8 e10", ids("even --follow --timeout 0.05"))
      assert.equal("", tycho:must("read nowhere --follow --timeout 0"))
    end)

    it("shows what it has when it has caught up, and ends by an interrupt", function()
      local out = tycho:shell([[
        $tycho read even --follow --type Other > $dir/followed 2> $dir/errors &
        for i in $(seq 300); do [ -s $dir/followed ] && break; sleep 0.1; done
        wc -l < $dir/followed
        $tycho publish even Third > $dir/o
        $tycho publish even Other > $dir/o
        for i in $(seq 300); do [ $(wc -l < $dir/followed) = 5 ] && break; sleep 0.1; done
        wc -l < $dir/followed
        kill -TERM $!
        wait $!
        echo $?
        wc -c < $dir/errors
      ]])
      assert.equal("4 5 143 0", (out:gsub("%s+", " "):match("^ ?(.-) ?$")))
    end)

    it("is ended by a reader that went away", function()
      local out = tycho:shell([[
        (timeout 60 $tycho read --follow --json; echo $? > $dir/status) | head -n 1 > $dir/o &
        for i in $(seq 300); do
          [ -s $dir/status ] && break; $tycho publish new A > $dir/p; sleep 0.1
        done
        cat $dir/status
      ]])
      assert.equal("141\n", out)
    end)

    it("refuses to follow backward, or to wait without following", function()
      fails("read --follow --backward", 2, "--backward does not fit")
      fails("read --timeout 1", 2, "--timeout is for --follow")
      fails("read --follow --timeout soon", 2, '"soon" is no number of seconds')
    end)
  end)

  it("shows an event and its streams", function()
    tycho:must([[publish a T '{"x": [1, {}]}' --id e1]])
    tycho:must("link b e1")
    local event = tycho:objects("event e1")[1]
    assert.same({ "a", "b" }, event.streams)
    assert.same({ x = { 1, {} } }, event.data)
    assert(tycho:must("event e1"):find("\nstreams\ta b\n", 1, true))
    fails("event nothing", 4, '"nothing"')
  end)

  it("lists streams and types, by prefix and in pages", function()
    for _, stream in ipairs { "b-2", "a", "b-1", "b-3" } do
      tycho:must("publish " .. stream .. " T")
    end
    tycho:must("publish a Other")
    local function names(words, key)
      local list = {}
      for _, object in ipairs(tycho:objects(words)) do list[#list + 1] = object[key] end
      return table.concat(list, " ")
    end
    assert.equal("a b-1 b-2 b-3", names("streams", "stream"))
    assert.equal("b-1 b-2 b-3", names("streams b", "stream"))
    assert.equal("b-2", names("streams b --after b-1 --limit 1", "stream"))
    assert.same({ stream = "a", count = 2, revision = 1 }, tycho:objects("streams a")[1])
    assert.same({ { event_type = "Other", count = 1 }, { event_type = "T", count = 4 } },
      tycho:objects("types"))
    assert.equal("2\t1\ta\n", tycho:must("streams a"))
  end)

  it("links and unlinks", function()
    for i = 1, 3 do tycho:must("publish a T --id e" .. i) end
    assert.same({ { count = 2, stream = "b" } }, tycho:objects("link b e3 e1"))
    fails("link b e1 e2", 3, "e1")
    assert.equal("1 event linked into b\n", tycho:must("link b e1 e2 --skip-duplicates"))
    fails("link b nothing", 4, "nothing")
    fails("link b e1 --expected-version 7", 3, "2")
    assert.same({ { count = 1, stream = "b" } }, tycho:objects("unlink b e3"))
    fails("unlink b e3", 4, "e3")
    local left = tycho:objects("read b")
    assert.same({ "e1", "e2" }, { left[1].event_id, left[2].event_id })
  end)

  it("deletes a stream, never events", function()
    tycho:must("publish a T --id e1")
    assert.same({ { count = 1, stream = "a" } }, tycho:objects("delete a --yes"))
    fails("delete a --yes", 4, '"a"')
    assert.same({}, tycho:objects("streams"))
    assert.equal(1, #tycho:objects("read"))
  end)

  it("asks before it deletes on a terminal", function()
    if not command.has("script") then return pending("needs the program script, of bsdutils") end
    tycho:must("publish a T")
    local function answer(text)
      return (tycho:shell(("echo %s | script -qec %s /dev/null"):format(text,
        command.quote(command.program .. " delete a"))))
    end
    assert(answer("n"):find("Remove the stream a with 1 entry?", 1, true))
    assert.equal(1, #tycho:objects("streams"))
    assert(answer("y"):find("a removed", 1, true))
    assert.equal(0, #tycho:objects("streams"))
  end)

  it("sets, lists and removes routes, and writes through them", function()
    assert.same({ { route = "orders", stream = "orders-1", previous = command.null } },
      tycho:objects("route set orders orders-1"))
    tycho:must("publish orders T --id e1")
    assert.equal("e1", tycho:objects("read orders-1")[1].event_id)
    fails("route set orders orders-3 --expected orders-2", 3, "orders")
    assert.equal("orders leads to orders-2\n",
      tycho:must("route set orders orders-2 --expected orders-1"))
    assert.equal("orders\torders-2\topen\n", tycho:must("route"))
    assert.same({ { route = "orders", stream = "orders-2" } }, tycho:objects("route list"))
    tycho:must("route remove orders")
    fails("route remove orders", 4, '"orders"')
    assert.same({}, tycho:objects("route list"))
  end)
end)
