--- No room: a file that may not grow, a small map, a reserve of the disk, little address space.
--- Writes are refused and nothing is lost; the store is fine afterwards.

local backfilling = require "support.backfilling"
local process = require "support.process"
local refusal = require "support.refusal"
local scratch = require "support.scratch"
local tycho = require "tycho"

local path
scratch.each(function(place) path = place end)

--- Runs spec/fault/filler.lua under a limit of the shell; gives its lines as a table.
local function fill(bytes, limit, before)
  local filler = process.lua("spec/fault/filler.lua", { path, bytes, limit }, before)
  local status, lines = filler:wait()
  local said = { status = status, text = table.concat(lines, "\n") }
  for _, line in ipairs(lines) do
    local key, value = line:match("^(%a+) (.*)$")
    if key then said[key] = tonumber(value) or value end
  end
  return said
end

--- What was acknowledged is there, a refused batch whole or not at all, and writing goes on.
local function check_after(acknowledged, may_have_one_more)
  local store <close> = tycho.open(path, { mode = "existing", sync = "none" })
  assert.same({}, store:verify().findings)
  local head = store:head()
  assert.is_true(head == 2 * acknowledged or may_have_one_more and head == 2 * acknowledged + 2,
    ("%d events after %d batches of 2"):format(head, acknowledged))
  for index = 1, acknowledged do
    assert.is_true(store:has_event(("e%d-1"):format(index)))
    assert.is_true(store:has_event(("e%d-2"):format(index)))
  end
  store:append("filled", { type = "more", data = { text = ("x"):rep(100000) } })
  assert.equal(head + 1, store:head())
  assert.same({}, store:verify().findings)
end

describe("A file that may not grow", function()
  for _, kilobytes in ipairs { 300, 512, 1000 } do
    it(("beyond %d KiB refuses writes and keeps the rest"):format(kilobytes), function()
      tycho.open(path):close()
      local said = fill(5000, 1000, ("trap '' XFSZ; ulimit -f %d"):format(kilobytes * 2))
      assert.equal(0, said.status, said.text)
      local codes = { full = true, io = true, unknown_outcome = true }
      assert.is_true(codes[said.refused] or false, said.text)
      assert.is_true(said.acknowledged > 0 and said.acknowledged < 1000, said.text)
      assert.equal(0, said.findings, said.text)
      assert.equal(said.head, said.read)
      check_after(said.acknowledged, said.refused == "unknown_outcome")
    end)
  end
end)

describe("A map that is small", function()
  it("refuses writes when it is full, and grows when it is opened anew", function()
    local store = tycho.open(path, { sync = "none", map_size = 64 << 20 })
    local acknowledged, ok, err = 0, true, nil
    while ok and acknowledged < 1000 do
      local number = acknowledged + 1
      ok, err = pcall(store.append, store, "filled", {
        { id = ("e%d-1"):format(number), type = "t", data = { text = ("x"):rep(500000) } },
        { id = ("e%d-2"):format(number), type = "t", data = { text = ("x"):rep(500000) } },
      })
      if ok then acknowledged = number end
    end
    assert.equal("full", err.code)
    assert.is_true(acknowledged > 5 and acknowledged < 1000)
    assert.equal(2 * acknowledged, store:head())
    assert.equal(2 * acknowledged, store:read():stream("filled"):count())
    assert.same({}, store:verify().findings)
    refusal.with("full", store.append, store, "filled",
      { type = "t", data = { text = ("x"):rep(2 << 20) } })
    store:close()
    check_after(acknowledged)
  end)
end)

describe("A back-fill", function()
  --- Fills the rest of the map, but for some pages.
  local function fill_up(store)
    for _, size in ipairs { 4000000, 200000, 20000 } do
      local data = { text = ("x"):rep(size) }
      repeat until not pcall(store.append, store, "filled", { type = "t", data = data })
    end
  end

  local function grown(store)
    store:close()
    return tycho.open(path, { sync = "none", map_size = 256 << 20 })
  end

  it("that has no room goes on when there is some, new and changed", function()
    local store = tycho.open(path, { sync = "none", map_size = 64 << 20 })
    backfilling.fill(store, 1, 6000)
    for _, source in ipairs { backfilling.VERSION_1, backfilling.VERSION_2 } do
      fill_up(store)
      refusal.with("full", store.backfill, store, { source = source, chunk = 1000 })
      assert.same({}, store:verify().findings)
      store = grown(store)
      assert.equal("done", store:backfill { source = source }.phase)
      assert.same(backfilling.expected(store, source), backfilling.streams(store))
      store:close()
      store = tycho.open(path, { sync = "none", map_size = 64 << 20 })
    end
    backfilling.check_clean(store)
    store:close()
  end)
end)

describe("A reserve of the disk that is not there", function()
  it("refuses writes, lets reads pass, and is a matter of the handle", function()
    local store <close> = tycho.open(path, { sync = "none" })
    store:append("a", { id = "e1", type = "t" })
    local careful <close> = tycho.open(path, { sync = "none", reserve_size = 1 << 60 })
    refusal.with("full", careful.append, careful, "a", { type = "t" })
    assert.equal("e1", careful:last_event("a").id)
    assert.equal(1, careful:head())
    store:append("a", { id = "e2", type = "t" })
    assert.same({}, careful:verify().findings)
  end)
end)

-- Not under ASan, which itself needs 20 TiB of it.
describe("Little address space #slow", function()
  it("makes the map smaller, and everything works", function()
    local said = fill(2000, 50, "ulimit -v 2000000")
    assert.equal(0, said.status, said.text)
    assert.equal("nothing", said.refused)
    assert.equal(50, said.acknowledged)
    assert.equal(0, said.findings)
    check_after(50)
  end)

  it("that is not enough is an error, not a crash", function()
    tycho.open(path):close()
    local head = 0
    for _, kilobytes in ipairs { 40000, 90000, 110000, 130000 } do
      local said = fill(2000000, 20, "ulimit -v " .. kilobytes)
      assert.is_true(said.status == 0 or said.status == 1,
        ("status %d: %s"):format(said.status, said.text))
      if said.findings then assert.equal(0, said.findings, said.text) end
      if kilobytes == 40000 then assert.equal("no_memory", said.refused, said.text) end
      if said.head then head = said.head end
    end
    local store <close> = tycho.open(path, { mode = "existing", sync = "none" })
    assert.same({}, store:verify().findings)
    assert.is_true(store:head() >= head and store:head() % 2 == 0)
  end)
end)
