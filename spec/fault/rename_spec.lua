--- Renaming a stream under publishers in other processes that are killed, and so is the one that
--- renames: nothing is lost, doubled or out of order. And the proof of it notices when it is not
--- so.
---
---   ROUNDS=20   how many (default 20)
---   SEED=n      of the first round

package.path = "examples/rename_stream/?.lua;" .. package.path
local experiment = require "experiment"
local proof = require "proof"
local rounds = require "fault.rename_rounds"
local scratch = require "support.scratch"

local ROUNDS = math.tointeger(tonumber(os.getenv("ROUNDS") or 20))
local SEED = math.tointeger(tonumber(os.getenv("SEED") or os.time()))
local SOURCE, TARGET = experiment.source, experiment.target

describe(("A rename under publishers, all of them killed now and then (SEED=%d)"):format(SEED),
  function()
    it("loses, doubles and reorders nothing", function()
      local ledger = rounds.run(ROUNDS, SEED)
      assert.equal(ROUNDS, ledger.rounds)
      assert.same({}, ledger.faults.said)
      assert.is_true(ledger.acknowledged > 0 and ledger.kills.publishers > 0)
      assert.is_true(ledger.linked > 0 and ledger.events > ledger.linked)
    end)
  end)

describe("The proof of a rename", function()
  local store, directory
  before_each(function()
    local _
    _, directory = scratch.path()
    store = experiment.open(directory)
  end)
  after_each(function()
    store:close()
    scratch.remove(directory)
  end)

  local function publish(stream, publisher, number, options)
    local receipt = store:append(stream, { id = ("e-%d-%d"):format(publisher, number), type = "t",
      data = { publisher = publisher, number = number } }, options)
    experiment.append_to(directory, publisher, "ack")(number, receipt.first_position,
      receipt.results[1].first_revision)
  end

  --- Three events of two publishers in the source, all of them linked, one behind the switch.
  local function rename()
    publish(SOURCE, 1, 1)
    publish(SOURCE, 2, 1)
    publish(SOURCE, 1, 2)
    store:batch(function(batch)
      batch:link_range(SOURCE, 0, nil, TARGET, { keep_revisions = true })
      batch:set_route(SOURCE, TARGET)
    end)
    publish(SOURCE, 1, 3)
  end

  --- Fails unless the faults are of these kinds, and there are some.
  local function expect_faults(...)
    local faults = proof.check(store, directory, 2).faults
    for _, kind in ipairs { ... } do
      assert.is_true(faults[kind] > 0, kind .. ": " .. table.concat(faults.said, "; "))
      faults[kind] = 0
    end
    faults.said = nil
    assert.same({ lost = 0, doubled = 0, disordered = 0, false_conflicts = 0, damaged = 0 }, faults)
  end

  it("has nothing to say when it went well", function()
    rename()
    local facts = proof.check(store, directory, 2)
    assert.same({}, facts.faults.said)
    assert.equal(4, facts.events)
    assert.equal(4, facts.acknowledged)
    assert.equal(3, facts.linked)
    expect_faults()
  end)

  it("notices an event that went to the source after the switch", function()
    rename()
    store:append(SOURCE, { type = "t", data = { publisher = 2, number = 2 } }, { raw = true })
    expect_faults("lost", "disordered")
  end)

  it("notices an event that was acknowledged and is nowhere", function()
    rename()
    experiment.append_to(directory, 2, "ack")(2, 5, 4)
    expect_faults("lost")
  end)

  it("notices an event that is not in the target", function()
    rename()
    store:unlink(TARGET, "e-2-1")
    expect_faults("lost", "disordered")
  end)

  it("notices links out of order", function()
    publish(SOURCE, 1, 1)
    publish(SOURCE, 1, 2)
    store:link(TARGET, { "e-1-2", "e-1-1" })
    expect_faults("lost", "disordered")
  end)

  it("notices an event that was written twice", function()
    rename()
    store:append(TARGET, { type = "t", data = { publisher = 1, number = 3 } })
    expect_faults("doubled")
  end)

  it("notices an acknowledgement that came twice", function()
    rename()
    experiment.append_to(directory, 1, "ack")(3, 4, 3)
    expect_faults("doubled")
  end)

  it("notices another revision than was acknowledged", function()
    rename()
    publish(SOURCE, 2, 2)
    experiment.append_to(directory, 2, "ack")(3, 6, 7)
    store:append(SOURCE, { type = "t", data = { publisher = 2, number = 3 } })
    expect_faults("disordered")
  end)

  it("tells true conflicts from false ones", function()
    rename()
    local note = experiment.append_to(directory, 2, "conflict")
    note(2, 3, 3)
    expect_faults()
    note(3, 2, 4) -- the target had less than the source
    note(3, 4, 4) -- nobody wrote that revision
    note(1, 3, 3) -- it was written before
    expect_faults("false_conflicts")
    assert.equal(3, proof.check(store, directory, 2).faults.false_conflicts)
  end)

  it("notices a decision on something else than what is there", function()
    rename()
    store:append(TARGET, { type = "t", data = { publisher = 2, number = 2, decided_on = 3 } })
    expect_faults("false_conflicts")
  end)
end)
