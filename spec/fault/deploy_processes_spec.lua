--- Processes that deploy and processes that publish, at once: every event is checked, tagged and
--- linked by what was deployed last before its position, and by nothing else.

local process = require "support.process"
local scratch = require "support.scratch"
local tycho = require "tycho"

describe("Deployments under publishers in other processes", function()
  local path, directory
  before_each(function() path, directory = scratch.path() end)
  after_each(function()
    process.clean()
    scratch.remove(directory)
  end)

  it("hold from their position on", function()
    tycho.open(path):close()
    local workers = {}
    for index, role in ipairs { "deploy", "publish", "deploy", "publish", "publish" } do
      workers[index] = process.lua("spec/fault/deployer.lua",
        { path, role, role == "deploy" and 40 or 1500 })
    end
    for _, worker in ipairs(workers) do
      local status, lines = worker:wait()
      assert.equal(0, status, table.concat(lines, "\n"))
    end
    local store <close> = tycho.open(path)
    local present, linked, events = { event_type = 0, linker = 0 }, {}, 0
    for event in store:read():stored():each() do
      if event.stream == "$scripts" then
        present[event.data.kind] = event.data.version
      else
        local tags = present.event_type > 0 and { "v" .. present.event_type } or {}
        assert.same(tags, event.tags)
        assert.equal(present.event_type > 0 and present.event_type or event.data.v, event.data.v)
        linked[present.linker] = linked[present.linker] or {}
        table.insert(linked[present.linker], event.id)
        events = events + 1
      end
    end
    assert.is_true(present.event_type > 20 and present.linker > 10 and events > 1000)
    for version = 1, present.linker do
      assert.same(linked[version] or {}, store:read():stored():stream("by-" .. version)
        :map(function(event) return event.id end))
    end
    assert.equal(events, store:read():of_type("A"):count())
    store:read():of_type("A"):all()
    store:close()
  end)
end)
