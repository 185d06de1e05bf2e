--- The search for differences must itself be able to find one: a mistake is planted in a copy of
--- the model, found by random histories, and made small.

local boxes = require "property.boxes"
local history = require "property.history"
local profiles = require "property.profiles"
local random = require "support.random"
local steps = require "property.steps"

--- A history of random steps in which `open` differs from the model.
local function find(open, profile, seeds)
  for seed = 1, seeds do
    local model_box, box, taken = boxes.model()(), open(), {}
    local maker = steps.maker(random.new(seed), profiles[profile], model_box.store)
    for index = 1, 200 do
      taken[index] = maker:next(index)
      if history.step(model_box, box, taken[index]) then return taken end
    end
  end
end

--- The planted mistake must be found, and shown by at most `most` steps.
local function finds(break_it, most, profile)
  local open = boxes.model(break_it)
  local taken = find(open, profile or "collisions", 50)
  assert.is_table(taken)
  local small, difference = history.shrink(boxes.model(), open, taken)
  assert.is_string(difference)
  assert.is_true(#small <= most, "shrunk only to\n" .. history.print(small))
  assert.is_truthy(history.run(boxes.model(), open, small))
  assert.is_nil(history.run(boxes.model(), boxes.model(), small))
  return small
end

describe("A random history", function()
  it("is the same for the same seed", function()
    local function make()
      local maker = steps.maker(random.new(7), profiles.collisions, boxes.model()().store)
      local list = {}
      for index = 1, 30 do list[index] = maker:next(index) end
      return list
    end
    assert.same(make(), make())
  end)

  it("finds nothing where nothing is wrong", function()
    assert.is_nil(find(boxes.model(), "many_streams", 4))
  end)

  it("finds a revision that is given twice", function()
    finds(function(store)
      local batch = store.batch
      function store:batch(fill)
        local receipt = batch(self, fill)
        for _, stream in pairs(self.state.streams) do
          local last = stream.entries[#stream.entries]
          if last then stream.next = last.revision + 1 end
        end
        return receipt
      end
    end, 7)
  end)

  it("finds a route that is not followed by reads", function()
    finds(function(store)
      local read = store.read
      function store:read()
        local specification = read(self)
        return specification:raw()
      end
    end, 7)
  end)

  it("finds a version that stands still", function()
    finds(function(store)
      local version = store.stream_version
      function store:stream_version(name) return math.min(version(self, name), 2) end
    end, 5)
  end)

  it("finds a rename that loses what was published meanwhile", function()
    finds(function(store)
      local rename = store.rename
      function store:rename(options)
        rename(self, options)
        local target = self.state.streams[options.target]
        if options.undo or options.dry_run or #target.entries < 3 then return end
        table.remove(target.entries)
      end
    end, 6)
  end)

  it("finds a lock that is given twice", function()
    finds(function(store)
      local lock = store.lock
      function store:lock(name)
        self.state.locks[name] = nil
        return lock(self, name)
      end
    end, 3)
  end)

  it("finds a follower that passes an event over", function()
    finds(function(store)
      local follow = store.follow
      function store:follow(options)
        local follower = follow(self, options)
        local next_event, count = follower.next, 0
        follower.next = function()
          count = count + 1
          if count == 3 then next_event(follower) end
          return next_event(follower)
        end
        return follower
      end
    end, 8)
  end)

  it("finds a linker that is deployed without its old events", function()
    finds(function(store)
      function store:backfill_recipe(recipe) self:deploy_recipes({ recipe }, {}) end
    end, 5, "scripts")
  end)

  it("finds a read model that folds an event twice", function()
    finds(function(store)
      local model_state = store.model_state
      function store:model_state(name, key)
        local folded = model_state(self, name, key)
        folded.list[#folded.list + 1] = folded.list[2]
        return folded
      end
    end, 6, "scripts")
  end)

  it("finds data that is not brought up to date", function()
    finds(function(store)
      local read = store.read
      function store:read() return read(self):stored() end
    end, 6, "scripts")
  end)

  it("stays with the mistake that it found when parts of the history show another one", function()
    local open = boxes.model(function(store)
      local head, streams = store.head, store.streams
      function store:head() return math.min(head(self), 1) end
      function store:streams()
        assert(head(self) > 0, "there are none")
        return streams(self)
      end
    end)
    local function append(id)
      return { kind = "batch", calls = { table.pack("append", "s", { { id = id, type = "t" } }) } }
    end
    local list = { kind = "list", call = table.pack("streams") }
    local ask = { kind = "ask", call = table.pack("head") }
    local taken = { append("a"), list, append("b"), list, ask }
    local small, difference = history.shrink(boxes.model(), open, taken)
    assert.equal("outcome.value.1: expected 2, got 1", difference)
    assert.same({ taken[1], taken[3], taken[5] }, small)
  end)

  it("prints what it found as Lua code", function()
    local small = finds(function(store)
      local head = store.head
      function store:head() return head(self) > 0 and 1 or 0 end
    end, 2)
    local text = history.print(small)
    assert.is_truthy(text:find("batch:append(", 1, true))
    assert.is_function(load(text))
  end)
end)
