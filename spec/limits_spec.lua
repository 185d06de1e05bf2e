--- LIMITS.md against the source: each row names a constant and the file that has it, and says its
--- value; and each limit of a public header has a row.

local tree = require "support.tree"

local UNITS = { KiB = 1 << 10, MiB = 1 << 20, GiB = 1 << 30, TiB = 1 << 40 }
local HEADERS = {
  "engine/tycho.h", "bindings/rpc/tycho_rpc.h", "bindings/lua/host/tycho_scripts.h",
}

--- The value that a constant has in a text of C or Lua. Names in it are constants of tycho.h.
local function value_of(name, text)
  local code = text:gsub("/%*.-%*/", ""):gsub("%-%-[^\n]*", "")
  local expression = code:match("#define " .. name .. " ([^\n]+)")
    or code:match("%f[%w_]" .. name .. "%s*=%s*([^,;}\n]+)")
  if not expression then return nil end
  expression = expression:gsub("%(uint64_t%)", ""):gsub("(%d)u", "%1")
  local names = setmetatable({}, { __index = function(_, other)
    return value_of(other, tree.read_file("engine/tycho.h"))
  end })
  return assert(load("return " .. expression, name, "t", names))()
end

--- "16 MiB" and "10,000" as integers.
local function integer_of(limit)
  local digits, unit = limit:match("^([%d,]+) ?(%a*)")
  return math.tointeger(tonumber((digits:gsub(",", "")))) * (UNITS[unit] or 1)
end

describe("LIMITS.md", function()
  local page = tree.read_file("LIMITS.md")
  local paths, rows = {}, {}
  for name, path in page:gmatch("%[([%w_.]+)%]%(([%w_./]+)%)") do paths[name] = path end
  for limit, name, file in page:gmatch("| ([^|\n]+) | `([%w_]+)` | %[?([%w_.]+)") do
    rows[#rows + 1] = { limit = limit, name = name, path = paths[file] }
  end

  it("says what the source says", function()
    assert.is_true(#rows > 40)
    for _, row in ipairs(rows) do
      local value = value_of(row.name, tree.read_file(row.path))
      assert.equal(integer_of(row.limit), value, row.name .. " of " .. row.path)
    end
  end)

  it("has a row for each limit of the public headers", function()
    local named, count = {}, 0
    for _, row in ipairs(rows) do named[row.name] = true end
    for _, path in ipairs(HEADERS) do
      for name in tree.read_file(path):gmatch("%f[%w_]TYCHO_[%u_]+_MAX%f[^%w_]") do
        count = count + 1
        assert.is_true(named[name], name .. " of " .. path)
      end
    end
    assert.is_true(count > 10)
  end)
end)
