--- A full disk: a real file system of a few MiB (tmpfs, and ext4 in a file), which is filled by a
--- store, freed, and filled again. Only root may mount one; for others it is pending, and says why.

local refusal = require "support.refusal"
local scratch = require "support.scratch"
local tycho = require "tycho"

local SIZE = 12 -- MiB

local directory, place, store

local function run(command) return (os.execute(command .. " >/dev/null 2>&1")) end

local function mount(kind)
  directory = select(2, scratch.path())
  place = directory .. "/disk"
  assert(run("mkdir " .. place))
  if kind == "tmpfs" then
    return run(("mount -t tmpfs -o size=%dm tmpfs %s"):format(SIZE, place))
  end
  local image = directory .. "/image"
  return run(("truncate -s %dM %s && mkfs.ext4 -q -F -m 0 %s && mount -o loop %s %s"):format(SIZE,
    image, image, image, place))
end

after_each(function()
  if store then store:close() end
  store = nil
  run("umount " .. place)
  scratch.remove(directory)
end)

-- Appends until the disk is full; gives how many batches of two were acknowledged.
local function fill(from)
  local number = from
  while number < from + 2000 do
    local ok, err = pcall(store.append, store, "filled", {
      { id = ("e%d-1"):format(number), type = "t", data = { text = ("x"):rep(20000) } },
      { id = ("e%d-2"):format(number), type = "t", data = { text = ("y"):rep(20000) } },
    })
    if not ok then
      assert.equal("full", err.code, tostring(err))
      return number
    end
    number = number + 1
  end
  error("the disk does not get full")
end

local function check(batches)
  assert.equal(2 * batches, store:head())
  assert.equal(2 * batches, store:read():stream("filled"):count())
  for event in store:read():backward():limit(10):each() do
    assert.equal(20000, #event.data.text)
  end
  assert.same({}, store:verify().findings)
end

for _, kind in ipairs { "tmpfs", "ext4" } do
  describe("A disk of " .. kind .. " that is full", function()
    it("refuses writes, serves reads, and takes writes again when it is freed", function()
      if not mount(kind) then return pending("no " .. kind .. " can be mounted here: not root?") end
      local ballast = place .. "/ballast"
      assert(run(("dd if=/dev/zero of=%s bs=1M count=4"):format(ballast)))
      store = tycho.open(place .. "/store", { reserve_size = 1 })
      local batches = fill(0)
      assert.is_true(batches > 10)
      check(batches)
      refusal.with("full", store.append, store, "filled",
        { type = "t", data = { text = ("z"):rep(100000) } })
      store:close()

      store = tycho.open(place .. "/store", { mode = "existing", reserve_size = 1 })
      check(batches)
      refusal.with("full", store.backup, store, place .. "/copy")
      assert.is_nil(run("test -e " .. place .. "/copy"))

      os.remove(ballast)
      local more = fill(batches)
      assert.is_true(more > batches + 10)
      check(more)
      store:close()
    end)
  end)
end
