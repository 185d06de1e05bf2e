--- What the modules of C refuse when they are called by themselves: the library in Lua in front of
--- them checks most of it before.

local core = require "tycho.core"
local line_editor = require "tycho.line_editor"
local scratch = require "support.scratch"
local terminal = require "tycho.terminal"
local tycho = require "tycho"

local function refuses(pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, pattern)
  assert.matches(pattern, tostring(err))
end

describe("the core by itself", function()
  local fresh = require("support.store")()

  it("refuses what is out of range", function()
    refuses("0, 1 or 2 expected", terminal.is_terminal, -1)
    refuses("0, 1 or 2 expected", terminal.is_terminal, 3)
    refuses("milliseconds from 0 on expected", core.sleep, -1)
    refuses("a path without a NUL expected", core.salvage, "a\0b", "c")
    refuses("a path without a NUL expected", core.salvage, "a", "c\0d")
  end)

  it("says what is wrong with a time", function()
    for rest, fault in pairs {
      [".Z"] = "a fraction has 1 to 9 digits",
      [".0123456789Z"] = "a fraction has 1 to 9 digits",
      [".012"] = "a zone is needed",
      [".012/Z"] = "a zone is needed",
      [".012:Z"] = "a zone is needed",
    } do
      local time, said = core.parse_time("2024-01-01T00:00:00" .. rest)
      assert.is_nil(time)
      assert.matches(fault, said)
    end
  end)

  it("saves a history of lines where it may", function()
    local path, directory = scratch.path()
    refuses("0 to 1000000 expected", line_editor.save, path, -1)
    refuses("0 to 1000000 expected", line_editor.save, path, 1000001)
    assert.is_true(line_editor.save(path, 10))
    local saved, err = line_editor.save(path .. "/none/history", 10)
    assert.is_nil(saved)
    assert.is_string(err)
    scratch.remove(directory)
  end)

  it("finds the nearest of up to 64 names, of words that are not too long", function()
    local names = {}
    for number = 1, 70 do names[number] = "name_" .. number end
    assert.equal("name_64", core.nearest("nane_64", names))
    assert.are_not.equal("name_70", core.nearest("xame_70", names))
    assert.is_nil(core.nearest(("n"):rep(300), names))
    assert.equal("name", core.nearest("nam", { ("n"):rep(300), "name", 5, "nam2" }))
    assert.is_nil(core.nearest("nam", {}))
  end)

  it("refuses lists, scripts and queries that there are not", function()
    local store = fresh()
    refuses("there is no list of 'none'", store.box.listing, store.box, "none", {})
    assert.is_nil(store.box:script("none", "x"))
    local items = {}
    for number = 1, 257 do items[number] = { types = { "t" .. number } } end
    refuses("at most 256", store.box.count, store.box, { query = items })
  end)

  it("refuses more sources than an operation merges", function()
    local store = fresh()
    local sources = {}
    for number = 1, 65 do
      store:append("s" .. number, { type = "t" })
      sources[number] = { "s" .. number, 0 }
    end
    refuses("64", function()
      store:batch(function(batch) batch:link_merged(sources, "all") end)
    end)
    assert.equal(65, store:head())
    assert.equal(-1, store:stream_version("all"))
  end)

  it("says what a handle is, and that it is closed", function()
    local store = fresh()
    local batch = store:batch()
    assert.matches("^tycho%.core%.%w+: 0x%x+$", tostring(batch.box))
    batch:close()
    assert.matches("^tycho%.core%.%w+: 0x%x+ %(closed%)$", tostring(batch.box))
    refuses("expected, got", batch.box.deploy, store:batch().box, io.stdout)
    refuses("call methods with ':'", batch.box.is_open, io.stdout)
    refuses("call methods with ':'", batch.box.is_open, 5)
  end)

  it("takes names as one string, or as a list", function()
    local store = fresh()
    store:append("s", { { id = "a", type = "t" }, { id = "b", type = "t" } })
    local batch <close> = store:batch()
    batch.box:link("l", -2, "a", 0)
    batch.box:link("m", -2, { "a", "b" }, 0)
    refuses("a string or a list of strings, got number", batch.box.unlink, batch.box, "l", 5)
    batch:commit()
    assert.equal(0, store:stream_version("l"))
    assert.equal(1, store:stream_version("m"))
  end)

  it("runs scripts for one event, which may have no data", function()
    local script <close> = tycho.script([[return event_type { name = "T", version = 2,
      upcast = { function(data) return data end } }]])
    refuses("one event is expected", script.expand, script, { { type = "T" }, { type = "T" } })
    assert.is_nil(script:upcast({ type = "T", content_type = "text/plain" }, 2))
  end)

  it("appends a single event without any bytes", function()
    local store = fresh()
    local batch <close> = store:batch()
    batch:append("s", { type = "t", content_type = "text/plain" }):commit()
    assert.equal("", store:last_event("s").data)
  end)

  it("ends a listing once", function()
    local store = fresh()
    store:append("s", { type = "t" })
    local next_name = store:streams()
    assert.equal("s", next_name())
    for _ = 1, 3 do assert.is_nil((next_name())) end
  end)
end)

describe("a chunk of a back-fill", function()
  it("is not negative", function()
    local store <close> = tycho.temporary { sync = "none" }
    local source = [[return linker { name = "l", version = 1, by = "type" }]]
    local box = store.box:backfill(source, nil, "l", 0, false)
    refuses("chunk must not be negative", box.step, box, -1)
    box:close()
  end)
end)
