--- What linkers give is the same however many kinds of events, streams and linkers a batch has:
--- what is kept of one event for the next of its kind is what the linker would give again.

local tycho = require "tycho"

local function script(name, rest)
  return ("return linker { name = %q, version = 1, %s }"):format(name, rest)
end

--- Linkers, and what each gives for an event of a type, category and customer: a name or nil.
local LINKERS = {
  { [[by = "type", prefix = "t."]], function(type) return "t." .. type end },
  { [[by = "category", prefix = "c."]], function(_, category) return "c." .. category end },
  { [[by = "type", prefix = "only.", from = { category = "cart" }]],
    function(type, category) if category == "cart" then return "only." .. type end end },
  { [[by = "type", prefix = "tagged.", from = { tags = { "red" } }]],
    function(type, _, customer) if customer % 2 == 0 then return "tagged." .. type end end },
  { [[streams = "*", to = function(event) return "all." .. event.type end]],
    function(type) return "all." .. type end },
  { [[streams = "*", to = function(event) return "customer." .. event.data.customer end]],
    function(_, _, customer) return "customer." .. customer end },
  { [[streams = "*", to = function(event)
        if event.type:sub(-1) == "1" then return "ones." .. event.data.customer end
      end]],
    function(type, _, customer) if type:sub(-1) == "1" then return "ones." .. customer end end },
  { [[streams = "*", to = function() end]], function() end },
}

--- Deploys linkers and publishes `batches` of events of so many types in so many categories; each
--- stream that is linked into has just the events that the model says, in their order.
local function check(linkers, types, categories, batches)
  local store <close> = tycho.temporary { sync = "none" }
  local sources, wanted = {}, {}
  for i, linker in ipairs(linkers) do sources[i] = script("l" .. i, linker[1]) end
  store:deploy { sources = sources }
  local position = store:head()
  for batch = 1, batches do
    local pending = store:batch()
    for n = 1, 200 do
      local type, category = "type" .. n * 7 % types, ("cart"):rep(1 + n * 5 % categories)
      local customer = (n * batch) % 37
      pending:append(category .. "-" .. n % 3, { type = type, data = { customer = customer },
        tags = { customer % 2 == 0 and "red" or "blue" } })
      position = position + 1
      for _, linker in ipairs(linkers) do
        local name = linker[2](type, category, customer)
        if name then
          wanted[name] = wanted[name] or {}
          table.insert(wanted[name], position)
        end
      end
    end
    pending:commit()
  end
  for name, positions in pairs(wanted) do
    local found = {}
    for event in store:read():stream(name):each() do found[#found + 1] = event.position end
    assert.same(positions, found, name)
  end
  assert.same({}, store:verify().findings)
end

describe("Linkers", function()
  it("link the events of a few kinds", function() check(LINKERS, 3, 2, 3) end)

  it("link the events of more kinds than are kept", function() check(LINKERS, 40, 3, 2) end)

  it("link where there are more of them than are kept", function()
    local many = {}
    for i = 1, 5 do
      for _, linker in ipairs(LINKERS) do
        local prefix = ("p%d."):format(i)
        local rest = linker[1]:gsub('prefix = "', '%0' .. prefix):gsub('return "', '%0' .. prefix)
        many[#many + 1] = { rest, function(...)
          local name = linker[2](...)
          return name and prefix .. name
        end }
      end
    end
    check(many, 3, 2, 2)
  end)

  local SEES_ALL = [[return linker { name = "all", version = 1, streams = "*", to = function(event)
    assert(event.id == "one" and event.type == "T" and event.stream == "home-1")
    assert(event.data.n == 7 and event.metadata.m == 8)
    assert(event.time == 5 and event.valid_time == 6)
    assert(event.correlation_id == "whole" and event.causation_id == "cause")
    assert(#event.tags == 2 and event.tags[1] == "a" and event.tags[2] == "b")
    assert(event.position == nil)
    return "seen"
  end }]]

  it("see all of an event, when it is appended and when it is back-filled", function()
    for _, is_older in ipairs { false, true } do
      local store <close> = tycho.temporary { sync = "none" }
      if not is_older then store:deploy { sources = SEES_ALL } end
      store:append("home-1", { id = "one", type = "T", data = { n = 7 }, metadata = { m = 8 },
        time = 5, valid_time = 6, correlation_id = "whole", causation_id = "cause",
        tags = { "b", "a" } })
      if is_older then store:backfill { source = SEES_ALL } end
      assert.equal("one", store:read():stream("seen"):first().id)
    end
  end)
end)
