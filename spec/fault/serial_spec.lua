--- The judge of concurrent histories must be able to refuse one: each wrong history here is a right
--- one with one thing changed.

local serial = require "fault.serial"

--- A batch that appends events to "s1", asked for and answered at these times.
local function append(client, number, first, last, ids, sequence, revision, position)
  local events = {}
  for index, id in ipairs(ids) do events[index] = { id = id, type = "t1", tags = { "g1" } } end
  local id = client .. "-" .. number
  return { client = client, number = number, invoked = first, answered = last,
    asked = { kind = "batch", id = id, conditions = {},
      operations = { { "append", "s1", events }, { "put_row", "ops", id, 1 } } },
    answer = sequence and { status = "ok", sequence = sequence, head = position + #ids - 1,
      results = { { #ids, position, revision }, { 1, 0, -1 } } } }
end

local function read(client, number, first, last, answer)
  return { client = client, number = number, invoked = first, answered = last,
    asked = { kind = "read", parts = { { "stream", "s1" } } },
    answer = { status = "ok", answers = { answer } } }
end

--- A batch that expects "s1" at a version, and is refused.
local function refused(client, number, first, last, expected, actual)
  local operation = append(client, number, first, last, { client .. number }, nil)
  operation.asked.conditions = { { "expect", "s1", expected } }
  operation.answer = { status = "wrong_expected_version", actual = actual }
  return operation
end

local function lock(client, number, first, last, kind, token)
  return { client = client, number = number, invoked = first, answered = last,
    asked = { kind = kind, name = "l1" }, answer = { status = "ok", token = token } }
end

local ENTRIES = { "a1@0", "a2@1", "b1@2", "c1@3" }

--- Two clients that write one after the other, a third whose batch overlaps with both, and reads.
local function right()
  local history = {
    append("a", 1, 10, 20, { "a1", "a2" }, 2, 0, 1),
    append("b", 1, 30, 50, { "b1" }, 3, 2, 3),
    append("c", 1, 5, 60, { "c1" }, 4, 3, 4),
    read("d", 1, 1, 4, ""),
    read("d", 2, 12, 15, "a1@0 a2@1 "),
    read("d", 3, 31, 35, "a1@0 a2@1 "),
    read("d", 4, 40, 45, "a1@0 a2@1 b1@2 "),
    read("d", 5, 70, 80, "a1@0 a2@1 b1@2 c1@3 "),
    refused("e", 1, 25, 40, 0, 1),
    lock("f", 1, 10, 11, "lock", 100), lock("f", 2, 20, 21, "release"),
    lock("g", 1, 12, 22, "lock", 101), lock("g", 2, 30, 31, "release"),
  }
  local final = { base = 1, sequence = 4, ops = { ["a-1"] = 2, ["b-1"] = 3, ["c-1"] = 4 },
    log = { "a1", "a2", "b1", "c1" }, streams = { "s1" } }
  function final.entries() return ENTRIES end
  return history, final
end

describe("The judge of concurrent histories", function()
  --- The history, with what `change` makes of it, is refused with this sentence.
  local function refuses(text, change)
    local history, final = right()
    change(history, final)
    local ok, err = pcall(serial.check, history, final)
    assert.is_false(ok, "it was not refused")
    assert.equal(text, err)
  end

  it("accepts a right one, and counts", function()
    assert.same({ operations = 13, committed = 3, refused = 1, reads = 5, unknown = 0 },
      serial.check(right()))
  end)

  it("accepts a batch without an answer, whether it is there or not", function()
    local history, final = right()
    history[3].answer, history[3].answered = nil, nil
    assert.equal(1, serial.check(history, final).unknown)
    history[#history + 1] = append("h", 1, 90, nil, { "h1" })
    assert.equal(2, serial.check(history, final).unknown)
  end)

  it("refuses a lost write", function()
    refuses("batch c/1 was acknowledged as sequence 4, the store has nothing of it",
      function(_, final) final.ops["c-1"], final.sequence = nil, 3 end)
    refuses("the store has nil at the position 4, it must be c1", function(_, final)
      final.log[4] = nil
    end)
  end)

  it("refuses a batch that is there in part", function()
    refuses("the stream s1 has a1@0 b1@2 c1@3, it must have a1@0 a2@1 b1@2 c1@3",
      function(_, final)
        final.entries = function() return { "a1@0", "b1@2", "c1@3" } end
      end)
  end)

  it("refuses a doubled event", function()
    refuses("the store has a1 at the position 5, it must be nil", function(_, final)
      final.log[5] = "a1"
    end)
    refuses("two batches have the sequence 3", function(history, final)
      history[#history + 1] = append("h", 1, 70, 80, { "h1" }, 3, 2, 3)
      final.ops["h-1"] = 3
    end)
  end)

  it("refuses a batch that was refused and is there", function()
    refuses("batch e/1 was refused, but is there as sequence 5", function(_, final)
      final.ops["e-1"] = 5
    end)
  end)

  it("refuses a batch of nobody", function()
    refuses("the sequence 5 belongs to no batch", function(_, final) final.sequence = 5 end)
  end)

  it("refuses a stale read", function()
    refuses("read d/5 is right at no time between its question and its answer (sequences 4 to 4): "
      .. "stream(s1): a1@0 a2@1 b1@2 c1@3 , got a1@0 a2@1 b1@2 ", function(history)
      history[8].answer.answers[1] = "a1@0 a2@1 b1@2 "
    end)
  end)

  it("refuses a read of what nobody has written yet", function()
    refuses("read d/1 is right at no time between its question and its answer (sequences 1 to 1): "
      .. "stream(s1): , got a1@0 a2@1 ", function(history)
      history[4].answer.answers[1] = "a1@0 a2@1 "
    end)
  end)

  it("refuses a read of half of a batch", function()
    refuses("read d/2 is right at no time between its question and its answer (sequences 1 to 2): "
      .. "stream(s1): a1@0 a2@1 , got a1@0 ", function(history)
      history[5].answer.answers[1] = "a1@0 "
    end)
  end)

  it("refuses reads that go back", function()
    refuses("read d/7 saw an earlier store than read d/6, "
      .. "which was answered before it was asked for", function(history)
      history[#history + 1] = read("d", 6, 36, 38, "a1@0 a2@1 b1@2 ")
      history[#history + 1] = read("d", 7, 39, 46, "a1@0 a2@1 ")
    end)
  end)

  it("refuses an inverted order of writes", function()
    refuses("batch b/1 was answered before batch a/1 was asked for, "
      .. "but comes after it (sequence 3)", function(history)
      history[2].invoked, history[2].answered = 6, 9
    end)
  end)

  it("refuses a refusal without a reason", function()
    refuses("batch e/1 is right at no time between its question and its answer "
      .. "(sequences 2 to 4): refused with wrong_expected_version, actual 1", function(history)
      history[9].asked.conditions[1][3] = 1
    end)
    refuses("batch e/1 is right at no time between its question and its answer "
      .. "(sequences 2 to 4): refused with wrong_expected_version, actual 0", function(history)
      history[9].answer.actual = 0
    end)
  end)

  it("refuses a batch whose condition did not hold", function()
    refuses("batch b/1 was committed as sequence 3, but must be refused: s1 is at 1, not 0",
      function(history) history[2].asked.conditions = { { "expect", "s1", 0 } } end)
  end)

  it("refuses a wrong receipt", function()
    refuses("batch b/1, operation 1: the receipt says 1, 3, 3, it must be 1, 3, 2",
      function(history) history[2].answer.results[1][3] = 3 end)
    refuses("batch b/1: the receipt says head 4, it must be 3", function(history)
      history[2].answer.head = 4
    end)
  end)

  it("refuses a lock that two hold", function()
    refuses("the lock l1 was held twice: by f with the token 100, by g with 101", function(history)
      history[12].answered = 15
    end)
    refuses("the token 101 was given twice", function(history) history[10].answer.token = 101 end)
    refuses("the lock l1: the token 100 was given before 99", function(history)
      history[#history + 1] = lock("h", 1, 41, 42, "lock", 99)
    end)
  end)

  it("refuses a batch under a lock that was released", function()
    refuses("batch f/3 was written after its lock was released", function(history)
      local late = append("f", 3, 60, 70, { "f1" }, 5, 4, 5)
      late.asked.lock, late.asked.token = "l1", 100
      history[#history + 1] = late
    end)
  end)

  it("refuses a follower that passes an event over, or is told too early", function()
    local history, final = right()
    local served = { { 20, 1, "a1" }, { 21, 2, "a2" }, { 40, 3, "b1" }, { 41, 4, "c1" } }
    assert.equal(4, serial.check_follower(served, history, final))
    table.remove(served, 2)
    assert.has_error(function() serial.check_follower(served, history, final) end,
      "the follower was served b1 at 3, where the log has a2 at 2")
    assert.has_error(function() serial.check_follower({ { 9, 1, "a1" } }, history, final) end,
      "a1 was served before it was written")
  end)

  it("takes a line that was cut off for none", function()
    local asked = "{\"i\",1,10,{kind=\"lock\",name=\"l1\"}}\n"
    assert.same({ { client = "a", number = 1, invoked = 10, asked = { kind = "lock",
      name = "l1" } } }, serial.parse("a", asked .. "{\"r\",1,20,{sta"))
    assert.same({}, serial.parse("a", asked:sub(1, 20)))
  end)
end)
