--- How branches are counted by `make coverage`.

local coverage = require "coverage"

local function line(number, ...)
  local branches = {}
  for index, count in ipairs { ... } do branches[index] = { count = count } end
  return { line_number = number, branches = branches }
end

describe("Branches of a file", function()
  local LINES = {
    "  if (a && b) return 1;", "  assert(a != NULL);", "  assert(a ||", "         b);",
    "  if (c) { /* unreachable: c is never true */", "  if (d) return 2;",
  }

  it("are taken when any of the programs took them", function()
    local files = {}
    coverage.add(files, { files = { { file = "engine/x.c", lines = { line(1, 2, 0, 0, 1) } } } })
    coverage.add(files, { files = { { file = "./engine/x.c", lines = { line(1, 0, 3, 0, 1) } } } })
    coverage.add(files, { files = { { file = "spec/c/x_test.c", lines = { line(1, 1, 0) } } } })
    assert.same({ ["engine/x.c"] = { [1] = { 2, 3, 0, 2 } } }, files)
    local sum = coverage.sum(files["engine/x.c"], LINES)
    assert.same({ branches = 4, taken = 3, excluded = 0,
      missing = { "1: 3 of 4: if (a && b) return 1;" } }, sum)
  end)

  it("do not count in assertions, and where a comment says why they cannot be taken", function()
    local branches = { [2] = { 1, 0 }, [3] = { 1, 0 }, [4] = { 0, 1 }, [5] = { 0, 1 },
      [6] = { 1, 0 } }
    local sum = coverage.sum(branches, LINES)
    assert.same({ branches = 2, taken = 1, excluded = 8,
      missing = { "6: 1 of 2: if (d) return 2;" } }, sum)
  end)
end)
