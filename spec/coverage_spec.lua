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
    "  if (c) {", "  if (d) return 2;",
  }
  local ENTRIES = { { "if (c) {", "c is never true" } }

  it("are taken when any of the programs took them", function()
    local files = {}
    coverage.add(files, { files = { { file = "engine/x.c", lines = { line(1, 2, 0, 0, 1) } } } })
    coverage.add(files, { files = { { file = "./engine/x.c", lines = { line(1, 0, 3, 0, 1) } } } })
    coverage.add(files, { files = { { file = "spec/c/x_test.c", lines = { line(1, 1, 0) } } } })
    assert.same({ ["engine/x.c"] = { [1] = { 2, 3, 0, 2 } } }, files)
    local sum = coverage.sum(files["engine/x.c"], LINES)
    assert.same({ branches = 4, taken = 3, excluded = 0,
      missing = { "1: 3 of 4: if (a && b) return 1;" }, wrong = {} }, sum)
  end)

  it("do not count in assertions, and where there is a reason that they cannot be taken", function()
    local branches = { [2] = { 1, 0 }, [3] = { 1, 0 }, [4] = { 0, 1 }, [5] = { 0, 1 },
      [6] = { 1, 0 } }
    local sum = coverage.sum(branches, LINES, ENTRIES)
    assert.same({ branches = 3, taken = 2, excluded = 7,
      missing = { "6: 1 of 2: if (d) return 2;" }, wrong = {} }, sum)
  end)

  it("do not count behind what raises when an argument is bad", function()
    local lines = { '  luaL_argcheck(L, size > 0, 1, "empty");', "  luaL_argexpected(L,",
      "  luaL_argcheck(L, a && b, 1, c);" }
    local sum = coverage.sum({ { 5, 0, 0, 0 }, { 5, 1, 0, 0 }, { 5, 1, 5, 1, 0, 0 } }, lines)
    assert.same({ branches = 8, taken = 7, excluded = 6,
      missing = { '1: 1 of 4: luaL_argcheck(L, size > 0, 1, "empty");' }, wrong = {} }, sum)
  end)

  it("are told of when they are taken although there is a reason that they cannot", function()
    local sum = coverage.sum({ [5] = { 3, 1 } }, LINES, ENTRIES)
    assert.same({ branches = 2, taken = 2, excluded = 0, missing = {},
      wrong = { "5: 2 of 2: if (c) {" } }, sum)
  end)
end)

describe("The list of branches that cannot be taken", function()
  it("names lines that there are, each with a reason", function()
    for path, entries in pairs(require "unreachable") do
      local lines = {}
      for text in io.lines(path) do lines[#lines + 1] = text end
      assert.same({}, coverage.unknown(entries, lines), path)
      for _, entry in ipairs(entries) do assert.is_true(#entry[2] > 10, entry[1]) end
    end
  end)

  it("is told of a line that there is no more", function()
    assert.same({ "if (gone)" }, coverage.unknown({ { "if (c) {" }, { "if (gone)" } },
      { "    if (c) {" }))
  end)
end)
