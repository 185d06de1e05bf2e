--- Clients in several processes with several threads do random things to one store; what they saw
--- must have an order (fault/serial.lua), whoever of them is killed.
---
---   KILLS=140   how often in all (default 140)
---   SEED=n      begin with this seed (default: from the clock); a failure prints the seed

local process = require "support.process"
local random = require "support.random"
local rounds = require "fault.history_rounds"
local serial = require "fault.serial"

local KILLS = tonumber(os.getenv("KILLS")) or 140
local SEED = math.tointeger(tonumber(os.getenv("SEED") or os.time()))

--- Sets a field, and gives what sets it back.
local function set(target, field, value)
  local before = target[field]
  target[field] = value
  return function() target[field] = before end
end

--- One of the operations that `wanted` accepts.
local function pick(chance, history, wanted)
  local list = {}
  for _, operation in ipairs(history) do
    if operation.answer and wanted(operation.asked, operation.answer) then
      list[#list + 1] = operation
    end
  end
  return chance:one(list)
end

local function is_committed(asked, answer)
  return asked.kind == "batch" and answer.status == "ok"
end

--- Each changes one thing of a history that is right, so that it is not.
local lies = {
  function(chance, _, final)
    return set(final.log, chance:between(1, #final.log), "other")
  end,
  function(chance, _, final)
    local place = chance:between(1, #final.log - 1)
    local one, other = final.log[place], final.log[place + 1]
    local first, second = set(final.log, place, other), set(final.log, place + 1, one)
    return function()
      first()
      second()
    end
  end,
  function(chance, history, final)
    return set(final.ops, pick(chance, history, is_committed).asked.id, nil)
  end,
  function(chance, history)
    local answer = pick(chance, history, is_committed).answer
    return set(answer, "sequence", answer.sequence + 1)
  end,
  function(chance, history)
    local answer = pick(chance, history, is_committed).answer
    return set(answer, "head", answer.head + 1)
  end,
  function(chance, history)
    local operation = pick(chance, history, is_committed)
    return set(operation, "answer", { status = "duplicate_event" })
  end,
  function(chance, history)
    local answers = pick(chance, history, function(asked) return asked.kind == "read" end).answer
      .answers
    return set(answers, 1, math.type(answers[1]) and answers[1] + 1000 or answers[1] .. "x@1 ")
  end,
  function(chance, history)
    local answer = pick(chance, history, function(asked, answer)
      return asked.kind == "batch" and answer.actual ~= nil
    end).answer
    return set(answer, "status", "no_memory")
  end,
}

describe(("Clients of one store (SEED=%d)"):format(SEED), function()
  after_each(process.clean)

  it("see what one order of all batches explains", function()
    local counts = rounds.round(SEED, { processes = 4, threads = 3, operations = 100,
      sync = "none" })
    assert.is_true(counts.committed > 300 and counts.reads > 200 and counts.refused > 20)
    assert.equal(0, counts.unknown)
  end)

  it("would be refused if they had seen anything else", function()
    local chance, refused = random.new(SEED), 0
    rounds.round(SEED + 2, { processes = 2, threads = 3, operations = 60, sync = "none",
      look = function(history, final)
        for number, lie in ipairs(lies) do
          for _ = 1, 5 do
            local undo = lie(chance, history, final)
            local ok = pcall(serial.check, history, final)
            assert.is_false(ok, "the lie " .. number .. " was believed")
            undo()
            refused = refused + 1
          end
        end
        assert.is_true(pcall(serial.check, history, final))
      end })
    assert.equal(5 * #lies, refused)
  end)

  it("see that, too, when they wait for the disk together", function()
    local counts = rounds.round(SEED + 1, { processes = 2, threads = 6, operations = 40,
      sync = "full" })
    assert.is_true(counts.committed > 100 and counts.reads > 50)
  end)

  it("see that when some of them are killed", function()
    local counts = rounds.crash(SEED)
    assert.is_true(counts.kills > 0 and counts.committed > 0)
  end)

  -- The one before, more often.
  it(("see that in %d kills #slow"):format(KILLS), function()
    local kills, unknown, seed = 0, 0, SEED
    while kills < KILLS do
      seed = seed + 1
      local counts = rounds.crash(seed)
      kills, unknown = kills + counts.kills, unknown + counts.unknown
    end
    assert.is_true(unknown > KILLS // 4, "too few were killed while they waited for an answer")
  end)
end)
