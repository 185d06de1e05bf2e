--- store:backfill while more is written than its last batch has room for.
local backfilling = require "support.backfilling"

local CIRCLES = 60 -- batches that are more than enough

--- A linker into five streams at once; version 2 leaves out events of which others are to be taken
--- out, so that all five are made anew.
local TO_FIVE = [[
return linker { name = "five", version = %d, streams = "*", to = function(event)
  if event.data.number %% 50 < %d then return {} end
  return { "f-1", "f-2", "f-3", "f-4", "f-5" }
end }]]
local FIVE_1, FIVE_2 = TO_FIVE:format(1, 0), TO_FIVE:format(2, 2)

--- A linker into so many streams for each event that few events fill a batch.
local TO_MANY = [[
return linker { name = "many", version = %d, streams = "*", to = function(event)
  local names = {}
  for index = 1, %d do names[index] = "m-" .. (event.data.number + index) %% 40 end
  return names
end }]]

describe("store:backfill under a rush", function()
  local fresh = require("support.store")()
  local store
  before_each(function() store = fresh() end)

  --- Back-fills; `act` is called with each status. Fails when it goes round in circles.
  local function backfill(source, act, options)
    local count = 0
    options = options or {}
    options.source, options.pause = source, 0
    options.progress = function(status)
      count = count + 1
      if count > CIRCLES then
        error(("%d batches, phase %s at %d of %d, %d left"):format(count, status.phase,
          status.position, status.head, status.left), 0)
      end
      act(status)
    end
    assert.equal("done", store:backfill(options).phase)
  end

  local function check(...) backfilling.check(store, ...) end

  --- Writes so many events behind what is linked, when a phase is met for the first time.
  local function once(phase, first, last)
    local is_done = false
    return function(status)
      if is_done or status.phase ~= phase or status.position == 0 then return end
      is_done = true
      backfilling.fill(store, first, last)
    end
  end

  it("ends when the old version links more than the last batch takes, and nobody writes any more",
    function()
      for _, phase in ipairs { "linking", "preparing" } do
        store = fresh()
        backfilling.fill(store, 1, 200)
        store:backfill { source = FIVE_1 }
        backfill(FIVE_2, once(phase, 201, 1150))
        check(FIVE_2)
      end
    end)

  it("ends when the new version links more than the last batch takes", function()
    for _, phase in ipairs { "linking", "preparing" } do
      store = fresh()
      backfilling.fill(store, 1, 120)
      store:backfill { source = TO_MANY:format(1, 1) }
      backfill(TO_MANY:format(2, 6), once(phase, 121, 1000))
      check(TO_MANY:format(2, 6))
    end
  end)

  it("ends when a new linker links more than the last batch takes", function()
    backfilling.fill(store, 1, 100)
    backfill(TO_MANY:format(1, 8), once("linking", 101, 1050))
    check(TO_MANY:format(1, 8))
  end)

  it("exchanges what came since in several batches behind the last one", function()
    backfilling.fill(store, 1, 200)
    store:backfill { source = FIVE_1 }
    local is_done = false
    backfill(FIVE_2, function(status)
      if status.phase ~= "preparing" or is_done then return end
      is_done = true
      backfilling.fill(store, 201, 1200)
    end)
    assert.is_true(is_done)
    check(FIVE_2)
  end)

  local BIG = [[return linker { name = "big", version = %d, streams = "*", to = function(event)
    if event.data.number %% %d ~= 0 then return "big" end end }]]
  local BIG_1, BIG_2 = BIG:format(1, 3), BIG:format(2, 5)

  --- Links older events into the stream when all is prepared but the last batch, and so many new
  --- ones are written.
  local function flood(links, new)
    local names, is_done = {}, false
    for number = 1, links do names[number] = "n" .. number end
    backfilling.fill(store, 1, 2000)
    for first = 1, links, 1000 do
      local events = {}
      for number = first, math.min(first + 999, links) do
        events[#events + 1] = { id = names[number], type = "Noted", data = { number = 15 } }
      end
      store:append("notes", events)
    end
    store:backfill { source = BIG_1 }
    backfill(BIG_2, function(status)
      if is_done or status.phase ~= "preparing" or status.left > 0 then return end
      is_done = true
      store:link("big", names)
      backfilling.fill(store, 2001, 2000 + new)
    end)
    assert.is_true(is_done)
    local ids, count = {}, 0
    for _, id in ipairs(backfilling.ids(store, "big")) do
      assert.is_nil(ids[id], id)
      ids[id], count = true, count + 1
    end
    for number = 1, 2000 + new do
      assert.equal(number % 5 ~= 0 or nil, ids["e" .. number], number)
    end
    assert.equal(links + (2000 + new) * 4 // 5, count)
    backfilling.check_clean(store)
  end

  it("prepares a stream further into which others linked more than a batch takes", function()
    flood(4500, 0)
  end)

  it("prepares a stream further that is too long together with what came last", function()
    flood(3390, 900)
  end)

  --- Back-fills by one batch a call, with `act(status)` after each; the number of calls.
  local function interrupted(source, act)
    for call = 1, CIRCLES do
      local seen = 0
      local ok, err = pcall(store.backfill, store, { source = source, chunk = 1000, pause = 0,
        progress = function(status)
          seen = seen + 1
          if seen == 1 or status.phase == "done" then return end
          act(status)
          error("stopped here", 0)
        end })
      if ok then return call end
      assert.equal("stopped here", err)
    end
    error "it goes round in circles"
  end

  it("goes on in the middle of a stream that takes several batches", function()
    backfilling.fill(store, 1, 3000)
    store:backfill { source = BIG_1 }
    local prepared = 0
    interrupted(BIG_2, function(status)
      if status.phase == "preparing" then prepared = prepared + 1 end
    end)
    assert.is_true(prepared > 3)
    check(BIG_2)
  end)

  it("notices what was done to a stream in the middle of which it was interrupted", function()
    local acts = {
      function() -- as many entries as before, and the last one that was prepared is the same
        store:unlink("big", "e4")
        store:link("big", "e15")
      end,
      function() store:unlink("big", "e4") end,
      function() store:delete_stream("big") end,
    }
    local judges = {
      function(ids) return ids.e15 and not ids.e4 and ids.e1 and ids.e2998 end,
      function(ids) return not ids.e4 and not ids.e15 and ids.e1 and ids.e2998 end,
      function(ids) return not ids.e1 and not ids.e4 and ids.e2997 end,
    }
    for index, act in ipairs(acts) do
      store = fresh()
      backfilling.fill(store, 1, 3000)
      store:backfill { source = BIG_1 }
      local prepared = 0
      interrupted(BIG_2, function(status)
        if status.phase ~= "preparing" then return end
        prepared = prepared + 1
        if prepared == 2 then act() end
      end)
      local ids = {}
      for _, id in ipairs(backfilling.ids(store, "big")) do
        assert.is_nil(ids[id], id)
        ids[id] = true
      end
      assert.truthy(judges[index](ids), "act " .. index)
      backfilling.check_clean(store)
    end
  end)
end)
