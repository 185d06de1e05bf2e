--- The pace of renaming, merging, splitting and back-filling: scripts/tycho/pace.lua.
local pace = require "tycho.pace"

local LIMITS = { short = 10, rest = 2, rest_max = 1, outrun_max = 20 }

describe("The pace of work under publishers", function()
  --- Notes chunks, "-" by which it came no nearer, "+" by which it did, again and again: the number
  --- of the chunk after which it is lost, nil when it is not.
  local function lost_after(pattern, chunks)
    local self = pace.new({}, LIMITS)
    for chunk = 1, chunks do
      local at = (chunk - 1) % #pattern + 1
      if self:note(pattern:sub(at, at) == "-") then return chunk end
    end
  end

  it("is lost when publishers were faster for so many of the largest chunks", function()
    -- One chunk makes it the largest; 21 of those are too many.
    assert.equal(22, lost_after("-", 100))
  end)

  it("is lost, too, when publishers rest now and then but are faster on the whole", function()
    local chunk = lost_after("----+", 1000)
    assert.truthy(chunk and chunk > 22 and chunk < 60)
  end)

  it("is not lost while it comes nearer on the whole", function()
    assert.is_nil(lost_after("--+++", 10000))
    assert.is_nil(lost_after("+", 10000))
  end)

  it("forgives publishers a burst when it came nearer since", function()
    local burst = ("-"):rep(15)
    assert.is_nil(lost_after(burst .. ("+"):rep(15), 10000))
  end)

  it("grows its chunks while publishers are faster, up to the largest", function()
    local self = pace.new({ chunk = 3000 }, LIMITS)
    local sizes = {}
    for index = 1, 4 do
      self:note(true)
      sizes[index] = self:next_chunk()
    end
    assert.same({ 6000, pace.chunk_max, pace.chunk_max, pace.chunk_max }, sizes)
  end)

  it("makes short chunks where others write, unless they are faster or it was told a size",
    function()
      local self = pace.new({}, LIMITS)
      assert.equal(LIMITS.short, self:next_chunk())
      self.is_alone = true
      assert.equal(self.chunk, self:next_chunk())
      self.is_alone = false
      self:note(true)
      assert.equal(self.chunk, self:next_chunk())
      assert.equal(77, pace.new({ chunk = 77 }, LIMITS):next_chunk())
    end)
end)
