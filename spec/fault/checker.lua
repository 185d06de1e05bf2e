--- What must hold for a store that processes of fault/writer.lua wrote to, whatever became of them:
--- what was acknowledged is there, a round is there whole or not at all, everything exactly once,
--- positions and revisions without gaps, all indexes right.

local checker = {}

--- The rounds that a writer got an answer for: the last one, and whether all before it are there.
local function acknowledged(work, name)
  local last = 0
  local file = io.open(work .. "/" .. name .. ".ack")
  for line in file and file:lines() or function() end do
    local round = math.tointeger(tonumber(line:match("^ *(%d+) +%d+$")))
    assert(round, "a broken line in " .. name .. ".ack: " .. line)
    assert(round > last, "a round was acknowledged twice")
    last = round
  end
  if file then file:close() end
  return last
end

local function check_numbers(store)
  local expected = 0
  for event in store:read():each() do
    expected = expected + 1
    assert(event.position == expected, "a gap in the positions at " .. expected)
  end
  assert(expected == store:head())
  for stream, count, revision in store:streams() do
    local seen = -1
    for event in store:read():stream(stream):raw():each() do
      seen = seen + 1
      assert(event.revision == seen, ("a gap in %s at %d"):format(stream, seen))
    end
    assert(seen == revision and count == revision + 1, "a wrong count of " .. stream)
  end
end

--- Counts what of the rounds is there: round -> { own, shared, linked }.
local function collect(store, name)
  local rounds = {}
  local function add(stream, field)
    for event in store:read():stream(stream):each() do
      local writer, round = event.id:match("^(.*)%-(%d+)%-[%dshared]+$")
      if writer == name then
        round = math.tointeger(tonumber(round))
        rounds[round] = rounds[round] or { own = 0, shared = 0, linked = 0 }
        rounds[round][field] = rounds[round][field] + 1
      end
    end
  end
  add("own-" .. name, "own")
  add("shared", "shared")
  add("links", "linked")
  return rounds
end

local function check_writer(store, work, name)
  local rounds, last = collect(store, name), store:row("rounds", name) or 0
  local answered = acknowledged(work, name)
  assert(answered <= last, ("%s: round %d was acknowledged, round %d is the last there is")
    :format(name, answered, last))
  for round = 1, last do
    local found = rounds[round] or {}
    assert(found.own == 1 + round % 4 and found.shared == 1 and found.linked == 1,
      ("%s: round %d is there in part"):format(name, round))
  end
  for round in pairs(rounds) do
    assert(round <= last, ("%s: round %d is there, its row is not"):format(name, round))
  end
  return last
end

--- Checks the store; gives how many rounds of all writers are in it.
function checker.check(store, work, names)
  local findings = store:verify().findings
  assert(#findings == 0, "the store is damaged: " .. table.concat(findings, "; "))
  check_numbers(store)
  local total = 0
  for _, name in ipairs(names) do total = total + check_writer(store, work, name) end
  return total
end

return checker
