--- Backups are taken while several processes write, and verified by restoring them: each is opened
--- as a store of its own, proved, compared with the store at the instant that it shows, and written
--- to.

local process = require "support.process"
local scratch = require "support.scratch"
local tycho = require "tycho"

local path, directory

before_each(function() path, directory = scratch.path() end)
after_each(function()
  process.clean()
  scratch.remove(directory)
end)

-- All that a store says of its first `head` events and their streams, one line each.
local function events_of(store, head)
  local lines = {}
  for event in store:read():limit(head):each() do
    lines[#lines + 1] = tycho.json.encode {
      event.position, event.id, event.type, event.stream or tycho.null, event.revision,
      event.time, event.data or tycho.null, event.tags,
    }
  end
  return lines
end

local function entries_of(store, stream, count)
  local ids = {}
  if count == 0 then return ids end
  for event in store:read():stream(stream):limit(count):each() do ids[#ids + 1] = event.id end
  return ids
end

-- What was copied is what the store had; nothing before the head of the copy is left out.
local function compare(store, copy, head)
  assert.same(events_of(store, head), events_of(copy, head))
  assert.equal(head, copy:read():count())
  for _, stream in ipairs { "shared", "links", "own-w1", "own-w2", "own-w3" } do
    local count = copy:read():stream(stream):count()
    assert.same(entries_of(store, stream, count), entries_of(copy, stream, count))
  end
  -- A batch of the writers has one event in "shared", one link and a row that counts: all or none.
  local batches = copy:read():stream("shared"):count()
  assert.equal(batches, copy:read():stream("links"):count())
  local rounds = 0
  for _, name in ipairs { "w1", "w2", "w3" } do
    rounds = rounds + (copy:row("rounds", name) or 0)
  end
  assert.equal(batches, rounds)
end

local function restore(backup, store)
  local copy <close> = tycho.open(backup, { mode = "existing" })
  local head = copy:stats().events
  assert.same({}, copy:verify().findings)
  compare(store, copy, head)
  assert.equal(head + 1, copy:append("own-w1", { type = "after the backup" }).first_position)
  assert.same({}, copy:verify().findings)
  return head
end

describe("A backup that is taken while three processes write", function()
  it("is a whole store of one instant, which goes on from there", function()
    tycho.open(path):close()
    local writers = {}
    for index, name in ipairs { "w1", "w2", "w3" } do
      writers[index] = process.lua("spec/fault/writer.lua", { path, directory, name, 120, "none" })
    end
    for _, writer in ipairs(writers) do writer:read() end
    local store <close> = tycho.open(path, { mode = "existing" })
    local backups = {}
    for index = 1, 6 do
      backups[index] = ("%s/backup-%d"):format(directory, index)
      store:backup(backups[index])
    end
    for _, writer in ipairs(writers) do assert.equal(0, (writer:wait())) end
    local before = 0
    for _, backup in ipairs(backups) do
      local head = restore(backup, store)
      assert.is_true(head >= before)
      before = head
    end
    assert.equal(360, store:read():stream("shared"):count())
  end)

  it("is not there when its place is taken, and harms nothing", function()
    local store <close> = tycho.open(path)
    store:append("s", { type = "T" })
    local ok, err = pcall(store.backup, store, path)
    assert.is_false(ok)
    assert.equal("busy", err.code)
    assert.same({}, store:verify().findings)
  end)
end)
