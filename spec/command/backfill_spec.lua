--- `tycho backfill`: a linker is deployed with the events that are there already.
local command = require "support.command"
local process = require "support.process"

local LINKER = [[
return linker {
  name = "by_city", version = 1, from = { types = { "Sold" } },
  streams = "*", to = function(event) return "%s" .. event.data.city end,
}
]]

describe("tycho backfill", function()
  local tycho, file

  before_each(function()
    tycho = command.new()
    for index, city in ipairs { "Oslo", "Rome", "Oslo" } do
      tycho:must(("publish sales Sold '{\"city\": \"%s\"}' --id e%d"):format(city, index))
    end
    tycho:file("by_city.lua", LINKER:format("city-"))
    file = tycho:path("by_city.lua")
  end)
  after_each(function()
    process.clean()
    tycho:close()
  end)

  local function ids(words)
    local list = {}
    for index, event in ipairs(tycho:objects(words)) do list[index] = event.event_id end
    return table.concat(list, " ")
  end

  local function fails(words, status, what)
    local result = tycho:run(words)
    assert.equal(status, result.status, result.err)
    assert(result.err:find(what, 1, true), result.err)
    assert.equal("", result.out)
  end

  it("links what is there, deploys the linker, and says so", function()
    assert.equal("3 events of the store would be looked at; linker/by_city 1 would be deployed\n"
      .. "nothing was changed\n", tycho:must("backfill " .. file .. " --dry-run"))
    assert.equal("", ids("read city-Oslo"))
    assert.equal("3 links made; linker/by_city 1 is deployed and complete\n",
      tycho:must("backfill " .. file .. " --chunk 2 --pause 0"))
    tycho:must("publish sales Sold '{\"city\": \"Oslo\"}' --id e4")
    assert.equal("e1 e3 e4", ids("read city-Oslo"))
    assert.equal("0 links made; linker/by_city 1 is deployed and complete\n",
      tycho:must("backfill by_city"))
    tycho:must("verify")
  end)

  it("tells of a changed linker what is taken out", function()
    tycho:must("backfill " .. file)
    local changed = LINKER:format("town-"):gsub("version = 1", "version = 2")
    tycho:file("by_city.lua", changed)
    assert.truthy(tycho:must("backfill --dry-run " .. file):find("made anew", 1, true))
    assert.equal("3 links made, 3 taken out; linker/by_city 2 is deployed and complete\n",
      tycho:must("backfill " .. file))
    assert.equal("", ids("read city-Oslo"))
    assert.equal("e1 e3", ids("read town-Oslo"))
  end)

  it("is advised by tycho deploy, where events would be left out", function()
    assert.equal("new        linker/by_city 1\ndeployed: 1 new\n"
      .. "older events are not linked by linker/by_city: tycho backfill by_city\n",
      tycho:must("deploy " .. file))
    tycho:must("publish sales Sold '{\"city\": \"Oslo\"}' --id e4")
    assert.equal("e4", ids("read city-Oslo"))
    tycho:must("backfill by_city")
    assert.equal("e1 e3 e4", ids("read city-Oslo"))
  end)

  it("prints its status as JSON", function()
    assert.same({ {
      name = "by_city", version = 1, phase = "done", is_beside = false, is_deployed = true,
      position = 3, head = 3, left = 0, total = 3, linked = 3, unlinked = 0,
    } }, tycho:objects("backfill " .. file))
  end)

  it("stops at an event that the linker cannot take, and is cancelled then", function()
    tycho:must("publish sales Sold '{}' --id bad")
    fails("backfill --chunk 2 " .. file, 3, "event bad of type Sold at position 4")
    assert.truthy(tycho:must("backfill --cancel " .. file):find("cancelled", 1, true))
    assert.equal("", ids("read city-Oslo"))
  end)

  it("refuses what it cannot do", function()
    fails("backfill nobody", 4, 'no back-fill of "nobody" was begun, and no linker',
      "see what is deployed with: tycho scripts")
    fails("backfill missing.lua", 4, "cannot be read")
    fails("backfill --cancel " .. file, 4, 'no back-fill of "by_city" was begun')
    fails("backfill --cancel --dry-run x", 2, "--cancel and --dry-run exclude each other")
    fails("backfill --chunk 0 x", 2, "--chunk")
    fails("backfill --pause x x", 2, "--pause")
    tycho:file("type.lua", 'return event_type { name = "A", version = 1 }')
    fails("backfill " .. tycho:path("type.lua"), 2, "only linkers are back-filled")
  end)

  it("leaves a state from which it goes on when it is interrupted", function()
    tycho:must("import -", { stdin = ('{"stream":"sales","event_type":"Sold",'
      .. '"data":{"city":"Oslo"}}\n'):rep(3000) })
    local running = process.start(("env TYCHO_STORE=%s %s backfill --chunk 500 --pause 60 %s 2>&1")
      :format(command.quote(tycho.store), command.program, command.quote(file)))
    for _ = 1, 200 do
      if ids("read city-Rome") ~= "" then break end
      process.sleep(0.02)
    end
    os.execute(("kill -INT %d"):format(running.pid))
    local status, lines = running:wait()
    assert.same({ 130, "tycho: interrupted at 500 of 3,003 events",
      "the same command goes on from here; to give it up: --cancel" },
      { status, lines[1], lines[2] })
    assert.truthy(tycho:must("backfill --dry-run by_city"):find("^2,503 events"))
    assert.equal("3,003 links made; linker/by_city 1 is deployed and complete\n",
      tycho:must("backfill by_city"))
  end)
end)
