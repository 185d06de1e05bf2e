--- `tycho import`: each event once, whatever happens on the way, and hostile input.
local command = require "support.command"

local function line(number, fields)
  local object = {
    stream = "s-" .. number % 7, type = "T" .. number % 3, data = { number = number },
  }
  for name, value in pairs(fields or {}) do object[name] = value end
  return command.encode(object, { keyorder = { "stream", "type", "time", "data", "id" } })
end

local function lines(first, last, fields)
  local list = {}
  for number = first, last do list[#list + 1] = line(number, fields) end
  return table.concat(list, "\n") .. "\n"
end

describe("tycho import", function()
  local tycho

  before_each(function() tycho = command.new() end)
  after_each(function()
    if io.open(tycho.store) then tycho:must("verify") end
    tycho:close()
  end)

  local function import(words, options)
    local counts = tycho:objects("import " .. words, options)[1]
    return { counts.events, counts.existed, counts.links, counts.refused }
  end

  local function numbers()
    local list = {}
    for _, event in ipairs(tycho:objects("read")) do list[#list + 1] = event.data.number end
    return list
  end

  local function sequence(first, last)
    local list = {}
    for number = first, last do list[#list + 1] = number end
    return list
  end

  it("reads the fields of a line under both of their names", function()
    tycho:must("import", { stdin = [[
{"stream":"a","type":"T","time":"2024-02-03T04:05:06.789Z","data":{"x":1},"metadata":{"m":true}}
{"stream":"a","event_type":"U","timestamp":1000001,"valid_at":5,"event_id":"e2","tags":["x","y"]}
{"stream":null,"type":"V","time":"2024-02-03T04:05:06+02:00","id":"e3","data":[],"position":9}
{"type":"W","stream":"a","correlation_id":"c","causation_id":"d","data":null,"time":-1}
{"type":"X","stream":"a","content_type":"text/plain","data":"hello","valid_time":"1970-01-02"}
]] })
    local events = tycho:objects("read")
    assert.same({ x = 1 }, events[1].data)
    assert.same({ m = true }, events[1].metadata)
    assert.equal(1706933106789000, events[1].timestamp)
    assert.same({ "e2", "U", 1000001, 5 }, {
      events[2].event_id, events[2].event_type, events[2].timestamp, events[2].valid_at,
    })
    assert.same({ "x", "y" }, events[2].tags)
    assert.equal(command.null, events[3].stream)
    assert.equal(1706925906000000, events[3].timestamp)
    assert.equal(3, events[3].position)
    assert.same({ "c", "d", command.null, -1 }, {
      events[4].correlation_id, events[4].causation_id, events[4].data, events[4].timestamp,
    })
    assert.same({ "text/plain", "hello", 86400000000 }, {
      events[5].content_type, events[5].data, events[5].valid_at,
    })
  end)

  it("doubles nothing when it is run again", function()
    local path = tycho:file("events.jsonl", lines(1, 2500))
    assert.same({ 2500, 0, 0, 0 }, import(path))
    assert.same({ 0, 2500, 0, 0 }, import(path))
    assert.same({ 0, 2500, 0, 0 }, import("--batch 7 " .. path))
    assert.same(sequence(1, 2500), numbers())
  end)

  it("keeps equal lines of one file apart, and knows them again", function()
    local same = line(1) .. "\n"
    local text = same .. line(2) .. "\n" .. same .. same
    assert.same({ 4, 0, 0, 0 }, import("", { stdin = text }))
    assert.same({ 0, 4, 0, 0 }, import("", { stdin = text }))
    assert.same({ 1, 4, 0, 0 }, import("", { stdin = text .. same }))
    assert.same({ 1, 2, 1, 1, 1 }, numbers())
  end)

  it("takes what is new of files that overlap", function()
    local one = tycho:file("one", lines(1, 1500))
    local two = tycho:file("two", lines(1000, 2000))
    assert.same({ 2000, 501, 0, 0 }, import(one .. " " .. two))
    assert.same({ 100, 1401, 0, 0 }, import("", { stdin = lines(600, 2100) }))
    assert.same(sequence(1, 2100), numbers())
  end)

  it("takes an id that comes twice once, also within one batch", function()
    local text = lines(1, 3, { id = "same" }) .. lines(4, 5) .. lines(6, 6, { id = "same" })
    assert.same({ 3, 3, 0, 0 }, import("", { stdin = text }))
    assert.same({ 1, 4, 5 }, numbers())
  end)

  it("keeps the order of the file whatever the streams", function()
    import("--batch 10", { stdin = lines(1, 95) })
    assert.same(sequence(1, 95), numbers())
    local revisions = {}
    for _, event in ipairs(tycho:objects("read s-3")) do
      revisions[#revisions + 1] = event.revision
    end
    assert.same(sequence(0, 13), revisions)
  end)

  it("reads gzip files, from names that a shell would misread, too", function()
    local name = "a b'c$(touch oops);\"*.gz"
    local plain = tycho:file("plain", lines(1, 3000))
    os.execute(("gzip -c %s > %s"):format(command.quote(plain), command.quote(tycho:path(name))))
    assert.same({ 3000, 0, 0, 0 }, import(command.quote(tycho:path(name))))
    assert.is_nil(io.open("oops"))
    local out = tycho:shell(("$tycho --json import < %s"):format(command.quote(tycho:path(name))))
    assert.equal(3000, command.decode(out)[1].existed)
    out = tycho:shell(("$tycho --json import <(cat %s)"):format(command.quote(plain)))
    assert.equal(3000, command.decode(out)[1].existed)
  end)

  it("imports what a damaged gzip file has, and says so", function()
    local plain = tycho:file("plain", lines(1, 20000))
    local path = tycho:path("cut.gz")
    os.execute(("gzip -c %s | head -c 20000 > %s"):format(command.quote(plain), path))
    local result = tycho:run("import " .. path)
    assert.equal(1, result.status)
    assert(result.err:find("cut.gz:%d+: the gzip file is damaged or cut off here"), result.err)
    local found = #numbers()
    assert(found > 100 and found < 20000)
    assert.same({ 20000 - found, found, 0, 0 }, import(plain))
    local out, code = tycho:shell(("cat %s | $tycho import"):format(path))
    assert.equal(2, code)
    assert(out:find("standard input is compressed", 1, true), out)
  end)

  it("reads lines that end in CR LF, blank ones, a byte order mark, no last line end", function()
    local text = "\xEF\xBB\xBF" .. line(1) .. "\r\n\r\n  \n" .. line(2) .. "\r\n" .. line(3)
    assert.same({ 3, 0, 0, 0 }, import("", { stdin = text }))
    assert.same({ 0, 3, 0, 0 }, import("", { stdin = lines(1, 3) }))
    assert.same({ 0, 0, 0, 0 }, import("", { stdin = "" }))
  end)

  it("gives a stream to lines that name none", function()
    local text = '{"type":"T","data":1}\n'
    assert.same({ 1, 0, 0, 0 }, import("--stream one", { stdin = text }))
    assert.same({ 1, 0, 0, 0 }, import("--stream two", { stdin = text }))
    assert.same({ 0, 1, 0, 0 }, import("--stream two", { stdin = text }))
    assert.equal(1, #tycho:objects("read two"))
  end)

  describe("given lines that are no events", function()
    local bad = {
      { '{"stream":"s","type":"T"', "not JSON" },
      { '{"stream":"s","type":"T"} x', "not JSON" },
      { '{"stream":"s","type":"T","data":NaN}', "not JSON" },
      { '{"stream":"s","type":"T","data":1e999}', "not JSON" },
      { '{"stream":"s","type":"T","data":"\xff\xfe"}', "not JSON" },
      { '{"stream":"s","type":"T","data":"\\ud800"}', "not JSON" },
      { '{"stream":"s","type":"T","data":' .. ("["):rep(100000), "not JSON" },
      { "\0\1\2", "not JSON" },
      { "[1,2]", "not a JSON object" },
      { '"text"', "not a JSON object" },
      { "17", "not a JSON object" },
      { "null", "not a JSON object" },
      { '{"stream":"s"}', 'there is no "type"' },
      { '{"type":"T"}', 'there is no "stream"' },
      { '{"stream":7,"type":"T"}', '"stream" is number 7' },
      { '{"stream":"s","type":{}}', '"type" is table' },
      { '{"stream":"s","type":"T","id":1}', '"id" is number 1' },
      { '{"stream":"s","type":"T","tags":"x"}', '"tags" is string' },
      { '{"stream":"s","type":"T","tags":["x",1]}', '"tags" is number' },
      { '{"stream":"s","type":"T","metadata":[1]}', '"metadata" is table' },
      { '{"stream":"s","type":"T","time":"yesterday"}', '"yesterday" is not a time' },
      { '{"stream":"s","type":"T","time":"2024-02-30T00:00:00Z"}', "is not a time" },
      { '{"stream":"s","type":"T","time":1.5}', "not a whole number" },
      { '{"stream":"s","type":"T","time":true}', '"time"' },
      { '{"stream":"s","type":"T","extra":1}', 'unknown field "extra"' },
      { '{"stream":"s","type":"T","event_type":"U"}', "given twice" },
      { '{"stream":"","type":"T"}', "stream" },
      { '{"stream":"a\\nb","type":"T"}', "stream" },
      { '{"stream":"s","type":"a\\u0000b"}', "type" },
      { '{"stream":"s","type":"' .. ("t"):rep(256) .. '"}', "type" },
      { '{"stream":"s","type":"T","id":"' .. ("i"):rep(65) .. '"}', "id" },
      { '{"stream":"s","type":"T","tags":[""]}', "tag" },
      { '{"link":"s"}', '"link" needs' },
      { '{"link":"s","event_id":"missing"}', "missing" },
      { '{"route":"s"}', '"route" needs' },
    }

    it("stops at the line, keeps what came before, and goes on when it is mended", function()
      for index, case in ipairs(bad) do
        local path = tycho:file("events", lines(1, 3) .. case[1] .. "\n" .. lines(4, 5))
        local result = tycho:run("import " .. path)
        assert.equal(1, result.status, case[1]:sub(1, 80))
        local place, what = result.err:match("^tycho: ([^\n]*events:4): ([^\n]*)\n[^\n]+\n$")
        assert.equal(path .. ":4", place, result.err)
        assert(what:find(case[2], 1, true), ("%d: %s: %s"):format(index, case[1], what))
        assert.same({ 1, 2, 3 }, numbers())
      end
      assert.same({ 2, 3, 0, 0 }, import("", { stdin = lines(1, 5) }))
    end)

    it("leaves them out, tells of each, and counts them, when it is told to skip", function()
      local text = {}
      for index = 1, 12 do
        text[#text + 1] = line(index)
        text[#text + 1] = bad[index * 2 + 9][1]
      end
      local result = tycho:run("--json import --on-error skip",
        { stdin = table.concat(text, "\n") .. "\n" })
      assert.equal(0, result.status, result.err)
      local counts = command.decode(result.out)[1]
      assert.same({ 12, 0, 12 }, { counts.events, counts.existed, counts.refused })
      for index = 1, 12 do
        assert(result.err:find(("standard input:%d: "):format(2 * index), 1, true), result.err)
      end
      assert.same(sequence(1, 12), numbers())
    end)

    it("refuses a line too long without keeping it in memory", function()
      local out, code = tycho:shell [=[
        export ASAN_OPTIONS="$ASAN_OPTIONS:mmap_limit_mb=1000" # it needs much address space
        [[ $LD_PRELOAD == *asan* ]] || ulimit -v 2000000
        (head -c 4000000000 /dev/zero | tr '\0' x) | $tycho import
      ]=]
      assert.equal(1, code, out)
      assert(out:find("standard input:1: the line is longer than", 1, true), out)
    end)

    it("refuses an event that is too large, and takes a large one", function()
      local function sized(megabytes)
        return '{"stream":"s","type":"T","data":"' .. ("x"):rep(megabytes << 20) .. '"}\n'
      end
      local result = tycho:run("import", { stdin = lines(1, 1) .. sized(17) })
      assert.equal(1, result.status)
      assert(result.err:find("^tycho: standard input:2: "), result.err)
      assert.same({ 2, 1, 0, 0 }, import("", { stdin = lines(1, 1) .. sized(5) .. sized(15) }))
    end)
  end)

  it("says which file cannot be read", function()
    local result = tycho:run("import " .. tycho:path("nothing"))
    assert.equal(4, result.status)
    assert(result.err:find("nothing cannot be read: No such file or directory\n", 1, true))
    result = tycho:run("import /")
    assert.equal(1, result.status)
    assert(result.err:find("/ cannot be read: Is a directory\n", 1, true), result.err)
  end)

  it("completes when it was killed in the middle", function()
    tycho:file("part", lines(1, 20000))
    tycho:file("whole", lines(1, 25000))
    local out = tycho:shell([[
      mkfifo $dir/pipe
      $tycho import --batch 100 - < $dir/pipe > $dir/o 2>&1 &
      importer=$!
      exec 3> $dir/pipe
      cat $dir/part >&3
      for i in $(seq 300); do
        events=$($tycho stats 2>/dev/null | sed -n 's/^events\t//p')
        [ "${events:-0}" -gt 1000 ] && break
        sleep 0.1
      done
      kill -9 $importer
      wait $importer 2>/dev/null
      exec 3>&-
      $tycho stats --json
      $tycho import --json $dir/whole
    ]])
    local before, counts = table.unpack(command.decode(out:match("{.*")))
    assert(before.events > 1000 and before.events < 25000, out)
    assert.equal(0, before.events % 100)
    assert.same({ 25000 - before.events, before.events }, { counts.events, counts.existed })
    assert.same(sequence(1, 25000), numbers())
  end)

  it("may run several times at once over the same file", function()
    local path = tycho:file("events", lines(1, 3000))
    local out = tycho:shell(([[
      for i in 1 2 3; do $tycho --json import --batch 50 %s & done; wait
    ]]):format(path))
    local events, existed = 0, 0
    for _, counts in ipairs(command.decode(out)) do
      events, existed = events + counts.events, existed + counts.existed
    end
    assert.same({ 3000, 6000 }, { events, existed }, out)
    assert.same(sequence(1, 3000), numbers())
  end)
end)
