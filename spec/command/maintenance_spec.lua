--- `tycho verify`, `backup`, `compress` and `stats`.
local command = require "support.command"

describe("tycho", function()
  local tycho

  before_each(function()
    tycho = command.new()
    local lines = {}
    for i = 1, 2000 do
      lines[i] = ('{"stream":"s%d","type":"T","data":{"text":"%s"}}'):format(i % 50, ("x"):rep(100))
    end
    tycho:must("import", { stdin = table.concat(lines, "\n") })
  end)
  after_each(function() tycho:close() end)

  -- Overwrites so many bytes of the data file from a place on, each by its complement.
  local function damage(from, count)
    local path = tycho.store .. "/data.mdb"
    local file <close> = assert(io.open(path, "r+b"))
    assert(file:seek("set", from))
    local bytes = file:read(count)
    assert(file:seek("set", from))
    assert(file:write((bytes:gsub(".", function(byte) return string.char(255 - byte:byte()) end))))
  end

  local function find_text(needle)
    local file <close> = assert(io.open(tycho.store .. "/data.mdb", "rb"))
    return assert(file:read("a"):find(needle, 1, true)) - 1
  end

  it("verifies a sound store", function()
    assert(tycho:must("verify"):find("sound", 1, true))
    local result = tycho:objects("verify")[1]
    assert.same({ 0, true }, { result.findings, result.ok })
    assert.equal(2000, result.events)
  end)

  it("finds a flipped bit of an event, and ends with 5", function()
    damage(find_text(("x"):rep(100)) + 50, 1)
    local result = tycho:run("verify")
    assert.equal(5, result.status)
    assert(result.out:find("%S"), "a finding")
    assert(result.err:find("^tycho: %d+ findings? in [^\n]+\nrestore a backup[^\n]+\n$"),
      result.err)
    result = tycho:run("verify --json")
    assert.equal(5, result.status)
    local objects = command.decode(result.out)
    assert.equal("string", type(objects[1].finding))
    assert.is_false(objects[#objects].ok)
  end)

  it("reports damaged pages, and does not crash of them", function()
    local file <close> = assert(io.open(tycho.store .. "/data.mdb", "rb"))
    local size = file:seek("end")
    for page = 8192, size - 4096, 4096 do damage(page, 64) end
    local result = tycho:run("verify")
    assert.equal(5, result.status, result.err)
    assert(result.err:find("tycho: [^\n]+\n[^\n]+\n$"), result.err)
  end)

  -- Builds with sanitizers take stores of a few pages for large ones, which open all the same.
  local opens_damaged = (os.getenv("TYCHO_BUILD") or ""):find("asan", 1, true) ~= nil

  it("names the page and positions that are damaged, and saves the rest", function()
    local place = find_text(("x"):rep(100))
    damage(place - place % 4096 + 12, 2) -- the bounds of a page of events
    local result = tycho:run("verify")
    assert.equal(5, result.status)
    assert(result.out:find("page %d+ of table events, with the keys from [^\n]*position %d+"),
      result.out)
    assert.equal(opens_damaged, tycho:run("stats").status == 0)
    local intact = result.out:find("of 2,000 events are intact", 1, true) -- where it does not open
    assert.equal(not opens_damaged, intact ~= nil, result.out)
    assert(result.err:find("tycho salvage DAMAGED NEW", 1, true), result.err)
    local saved = tycho:path("saved")
    local object = tycho:objects(("salvage %s %s"):format(tycho.store, saved))
    object = object[#object]
    assert.equal(2000, object.events + object.events_lost)
    tycho:must("verify", { store = saved })
    assert.equal(object.events_lost, #tycho:objects("read --type '$lost'", { store = saved }))
    result = tycho:run(("salvage %s %s"):format(tycho.store, saved))
    assert.equal(1, result.status)
    assert(result.err:find("choose a path where nothing is yet", 1, true), result.err)
  end)

  it("salvages a sound store as it is", function()
    local saved = tycho:path("saved")
    assert(tycho:must(("salvage %s %s"):format(tycho.store, saved)):find("^2,000 of 2,000 events"))
    assert.equal(tycho:must("export"), tycho:must("export", { store = saved }))
  end)

  it("says that there is nothing to be salvaged", function()
    local result = tycho:run("salvage /nowhere/at/all " .. tycho:path("saved"))
    assert.equal(4, result.status, result.err)
  end)

  it("verifies a backup", function()
    assert(tycho:must("backup --verify " .. tycho:path("copy")):find("^2,000 events, "))
  end)

  it("backs up into a new directory, and nowhere else", function()
    local copy = tycho:path("copy")
    assert(tycho:must("backup " .. copy):find("^2,000 events, "))
    assert.equal(tycho:must("export"), tycho:must("export", { store = copy }))
    local result = tycho:run("backup " .. copy)
    assert.equal(1, result.status)
    assert(result.err:find("choose a path where nothing is yet", 1, true), result.err)
    assert.equal(2000, tycho:objects("backup " .. tycho:path("second"))[1].events)
  end)

  it("compresses what comes from then on, and ends that", function()
    local before = tycho:must("export")
    local made = tycho:objects("compress --sample 500")[1]
    assert.equal(1, made.dictionary)
    assert.is_true(made.percent < 50)
    assert.equal(1, tycho:objects("stats")[1].dictionary)
    local line = '{"stream":"s1","type":"T","data":{"text":"%s%d"}}\n'
    local lines = {}
    for i = 1, 300 do lines[i] = line:format(("x"):rep(100), i) end
    tycho:must("import", { stdin = table.concat(lines) })
    assert.equal(before, tycho:must("export"):sub(1, #before))
    assert(tycho:must("read s1 --backward --limit 1 --json"):find("x300", 1, true))
    assert(tycho:must("verify"):find("^2,300 events"))
    local saved = tycho:path("saved")
    tycho:must(("salvage %s %s"):format(tycho.store, saved))
    assert.equal(tycho:must("export"), tycho:must("export", { store = saved }))
    assert(tycho:must("compress"):find("^dictionary 2 compresses later events, to about %d+ %%"))
    assert.equal("later events are stored as they are\n", tycho:must("compress --off"))
    assert.equal(0, tycho:objects("stats")[1].dictionary)
  end)

  it("does not learn from what is not there", function()
    local result = tycho:run("compress", { store = tycho:path("none") })
    assert.equal(4, result.status, result.err)
    tycho:must("publish s T", { store = tycho:path("small") })
    result = tycho:run("compress", { store = tycho:path("small") })
    assert.equal(4, result.status, result.err)
    assert(result.err:find("100 events", 1, true), result.err)
    assert(result.err:find("try again when there are more events", 1, true), result.err)
    assert.is_nil(result.err:find("tycho streams", 1, true))
    assert.equal(2, tycho:run("compress --sample 0").status)
    assert.equal(2, tycho:run("compress --sample 5 --off").status)
  end)

  it("shows numbers about the store", function()
    tycho:must("publish new T --id e1 --tag a --tag b")
    tycho:must("link l e1")
    tycho:must("route set r l")
    local stats = tycho:objects("stats")[1]
    assert.same({ 2001, 52, 1, 2, 2002, 1, 1 }, {
      stats.events, stats.streams, stats.types, stats.tags, stats.entries, stats.links,
      stats.routes,
    })
    assert.equal(tycho.store, stats.path)
    assert(stats.file_size > 100000)
    assert(tycho:must("stats"):find("\nevents\t2001\n", 1, true))
  end)
end)
