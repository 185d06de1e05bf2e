--- Calls of the system fail, one in each life of a store that is driven from Lua (every_verb.lua),
--- by a library that is preloaded (failing_calls.c): a clear error, nothing lost, and the same
--- step succeeds once the system is whole. Sampled, unless TYCHO_SWEEP=full. The library stands in
--- front of ASan's, where that is preloaded: ASan must know, and looks for leaks in these lives.

local process = require "support.process"
local scratch = require "support.scratch"

local SAMPLES = 5
local ENOSPC, EIO, ENOMEM, EMFILE = 28, 5, 12, 24
local FAULTS = {
  { "pwrite", EIO }, { "pwrite", ENOSPC }, { "writev", EIO }, { "writev", ENOSPC },
  { "fdatasync", EIO }, { "fsync", EIO }, { "ftruncate", ENOSPC }, { "posix_fallocate", ENOSPC },
  { "rename", EIO }, { "mmap", ENOMEM }, { "open", EMFILE }, { "openat", EMFILE },
  { "malloc", ENOMEM }, { "calloc", ENOMEM }, { "realloc", ENOMEM },
}

-- The loader needs memory to bind a function when it is first called, and ends the process.
local PRELOAD = 'export LD_BIND_NOW=1 LD_PRELOAD="%s $LD_PRELOAD"\n'
  .. 'export ASAN_OPTIONS="$ASAN_OPTIONS:verify_asan_link_order=0:detect_leaks=1"\n'

local directory, shim

setup(function()
  directory = select(2, scratch.path())
  shim = directory .. "/failing_calls.so"
  -- With -O2 calls of malloc are passed on by jumps, so that ASan sees who made them.
  local compile = "cc -std=c11 -O2 -D_GNU_SOURCE -shared -fPIC -o %s "
    .. "spec/fault/failing_calls.c -ldl"
  assert(os.execute(compile:format(shim)), "a C compiler is needed")
end)
teardown(function() scratch.remove(directory) end)
after_each(function() process.clean() end)

local function read_number(path)
  local file <close> = assert(io.open(path))
  return assert(file:read("n"))
end

--- One life; gives its lines, and how many calls of that kind it made.
local function live(name, number, errno)
  local path, own = scratch.path()
  local life = process.lua("spec/fault/every_verb.lua", { path },
    (PRELOAD .. "export TYCHO_COUNT=%s/count TYCHO_FAIL='%s %d %d'")
      :format(shim, own, name, number, errno))
  local status, lines = life:wait()
  local said = table.concat(lines, "\n")
  assert.equal(0, status, ("%s %d: %s"):format(name, number, said))
  assert.equal("done 303", lines[#lines])
  local count = read_number(own .. "/count")
  scratch.remove(own)
  return said, count
end

describe("A store that is driven from Lua", function()
  for _, fault in ipairs(FAULTS) do
    local name, errno = fault[1], fault[2]
    it(("says what failed and goes on when %s fails with %d"):format(name, errno), function()
      local _, count = live(name, -1, errno)
      assert.is_true(count > 0 or name == "ftruncate", name .. " is never called")
      local is_full = os.getenv("TYCHO_SWEEP") == "full"
      local stride = is_full and 1 or math.max(1, count // SAMPLES)
      local failures = 0
      for number = 0, count - 1, stride do
        if live(name, number, errno):find("failed ", 1, true) then failures = failures + 1 end
      end
      -- When realloc fails, Lua collects garbage and asks again.
      assert.is_true(count == 0 or failures > 0 or name == "realloc", "no failure was told")
    end)
  end
end)
