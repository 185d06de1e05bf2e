--- The encoding of batches: applying the same bytes to the same state gives the same state, and
--- bytes that are not a batch are refused.
---
---   SEED=123   begin with this seed (default: from the clock)

local boxes = require "property.boxes"
local plain = require "support.plain"
local profiles = require "property.profiles"
local random = require "support.random"
local refusal = require "support.refusal"
local steps = require "property.steps"
local tycho = require "tycho"

local SEED = math.tointeger(tonumber(os.getenv("SEED") or os.time()))
local TABLES = { "table1", "table2" }

--- Calls use(fill) for random batches; `fill` puts the calls of one into a batch.
local function each_batch(seed, count, use)
  local model = boxes.model()().store
  local maker = steps.maker(random.new(seed), profiles.collisions, model)
  while count > 0 do
    local step = maker:next(1)
    if step.kind == "batch" then
      count = count - 1
      local function fill(batch)
        for _, call in ipairs(step.calls) do
          batch[call[1]](batch, table.unpack(call, 2, call.n))
        end
      end
      if pcall(fill, model:batch()) then
        use(fill)
        pcall(model.batch, model, fill)
      end
    end
  end
end

local function verdict(batch)
  local ok, result = pcall(batch.commit, batch)
  if ok then return { result.sequence, result.head, result.first_position, result.event_ids } end
  return { refusal.parse(result).code }
end

describe(("The bytes of a batch (SEED=%d)"):format(SEED), function()
  it("do in another store what the batch did in the first", function()
    local first <close> = tycho.temporary { sync = "none" }
    local second <close> = tycho.temporary { sync = "none" }
    each_batch(SEED, 300, function(fill)
      local batch <close> = first:batch()
      local copy <close> = second:batch()
      fill(batch)
      copy:decode(batch:encode())
      assert.same(verdict(batch), verdict(copy))
    end)
    assert.is_true(first:head() > 50)
    assert.same(plain.dump(first, TABLES), plain.dump(second, TABLES))
  end)

  it("are the same for the same calls, and after being decoded", function()
    local store <close> = tycho.temporary { sync = "none" }
    each_batch(SEED + 1, 200, function(fill)
      local one <close> = store:batch()
      local two <close> = store:batch()
      fill(one)
      fill(two)
      local bytes = one:encode()
      assert.equal(bytes, two:encode())
      assert.equal(bytes, two:clear():decode(bytes):encode())
    end)
  end)

  it("are refused when a bit was changed or a part is missing, and the batch stays", function()
    local store <close> = tycho.temporary { sync = "none" }
    local chance = random.new(SEED + 2)
    local codes = { corrupt = true, newer_format = true, too_large = true }
    local function refused(bytes)
      local batch <close> = store:batch():set_checkpoint("c", 1)
      local before = batch:encode()
      local ok, err = pcall(batch.decode, batch, bytes)
      assert.is_false(ok)
      assert.is_true(codes[err.code] or false, tostring(err))
      assert.equal(before, batch:encode())
    end
    each_batch(SEED + 3, 60, function(fill)
      local batch <close> = store:batch()
      fill(batch)
      local bytes = batch:encode()
      for _ = 1, 10 do
        local at, bit = chance:between(1, #bytes), 1 << chance:between(0, 7)
        refused(bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ bit) .. bytes:sub(at + 1))
        refused(bytes:sub(1, chance:between(0, #bytes - 1)))
      end
      refused(bytes .. "\0")
      refused(bytes .. bytes)
    end)
  end)
end)
