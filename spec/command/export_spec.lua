--- `tycho export`, and what `tycho import` makes of it in another store.
local command = require "support.command"

describe("tycho export", function()
  local tycho

  before_each(function() tycho = command.new() end)
  after_each(function() tycho:close() end)

  -- Exports, imports into a new store, and gives both exports.
  local function round_trip()
    local path = tycho:file("export", tycho:must("export"))
    local copy = { store = tycho:path("copy") }
    local counts = tycho:objects("import " .. path, copy)[1]
    tycho:must("verify", copy)
    return tycho:must("export"), tycho:must("export", copy), counts
  end

  it("writes lines from which the same store is made", function()
    tycho:must([[publish a First '{"x": [1, 2.5, 1e300, null, {}, [], "é\u0000"]}' --tag t]])
    tycho:must([[publish b Second --id e2 --metadata '{"k": [true]}' --time 5 --valid-at=-7]])
    tycho:must("publish a Third '{\"base64\": \"AAH/\"}' --id e3")
    tycho:must("import", { stdin = [[
{"stream":"a","type":"T","id":"e4","content_type":"text/plain","data":"plain"}
{"stream":"a","type":"T","id":"e5","content_type":"image/png","data":{"base64":"iVBORw=="}}
{"stream":null,"type":"T","id":"e6","correlation_id":"e1","causation_id":"e2","data":9007199254740}
{"stream":"a","stream_metadata":{"keep":3}}
{"stream":"empty","stream_metadata":[1]}
{"route":"r","stream":"a"}
{"route":"old","stream":"a","closed":true}
]] })
    local first, second, counts = round_trip()
    assert.equal(first, second)
    assert.equal(6, counts.events)
    local events = command.decode(first)
    assert.same({ base64 = "AAH/" }, events[3].data)
    assert.equal("plain", events[4].data)
    assert.equal(9007199254740, events[6].data)
    assert.same({ "e1", "e2" }, { events[6].correlation_id, events[6].causation_id })
  end)

  it("keeps the order of streams in which links stand between events", function()
    for i = 1, 4 do tycho:must("publish other T --id o" .. i) end
    tycho:must("publish s T --id s1")
    tycho:must("link s o2 o1")
    tycho:must("publish s T --id s2")
    tycho:must("link s o4")
    tycho:must("publish s T --id s3")
    tycho:must("link s o3")
    tycho:must("link links s3 s1 o1")
    local first, second, counts = round_trip()
    assert.equal(first, second)
    assert.same({ 7, 7 }, { counts.events, counts.links })
    local ids = {}
    for _, event in ipairs(tycho:objects("read s", { store = tycho:path("copy") })) do
      ids[#ids + 1] = event.event_id
    end
    assert.same({ "s1", "o2", "o1", "s2", "o4", "s3", "o3" }, ids)
  end)

  it("keeps events that are in no stream any more in the log", function()
    tycho:must("publish gone T --id e1")
    tycho:must("publish kept T --id e2")
    tycho:must("publish kept T --id e3")
    tycho:must("link linked e1")
    tycho:must("delete gone --yes")
    tycho:must("unlink kept e2")
    round_trip()
    local copy = { store = tycho:path("copy") }
    local ids = {}
    for _, event in ipairs(tycho:objects("read", copy)) do ids[#ids + 1] = event.event_id end
    assert.same({ "e1", "e2", "e3" }, ids)
    local streams = {}
    for _, object in ipairs(tycho:objects("streams", copy)) do
      streams[#streams + 1] = object.stream .. " " .. object.count
    end
    assert.same({ "kept 1", "linked 1" }, streams)
  end)

  it("may be imported again and again, also into the store that it came from", function()
    for i = 1, 5 do tycho:must("publish s T --id e" .. i) end
    tycho:must("link l e1 e2")
    local text = tycho:must("export")
    local counts = tycho:objects("import", { stdin = text })[1]
    assert.same({ 0, 5, 0 }, { counts.events, counts.existed, counts.links })
    assert.equal(text, tycho:must("export"))
  end)

  it("writes one stream, or what is behind a position", function()
    for i = 1, 4 do tycho:must("publish s" .. i % 2 .. " T --id e" .. i) end
    assert.equal(2, #command.decode(tycho:must("export s1")))
    local events = command.decode(tycho:must("export --after-position 3"))
    assert.same({ "e4" }, { events[1].event_id, events[2] })
  end)
end)
