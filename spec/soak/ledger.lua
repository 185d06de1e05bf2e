--- The ledger of a soak: what was done, which faults it survived, what was wrong, and how file,
--- memory and descriptors grew.
---
--- Growth is sampled. The mean of each quarter of the samples is printed, and the slope of the line
--- that fits them best, per hour. In a run of FLAT_SECONDS or more the last quarter is compared
--- with the second one (in the first, caches fill): more than FLAT times as much is wrong, but of
--- the size of the file, which grows with what is in it.
---
--- The memory of each process rises and falls by some MiB: it has the index entries since the last
--- settlement, up to 65,536 of them (engine/generation.h), and malloc() keeps some of what was
--- freed. A run of minutes has few settlements, so that its quarters may show the way up alone: a
--- process beside a writer of 940,000 entries went up to 11 MiB and down to 5 in 14 of them. What
--- is kept for good would show in the memory of Lua, which is sampled by itself, or in each further
--- hour.

local FLAT_SECONDS, FLAT = 600, 1.25
local SLACK = { memory = 4 << 20, descriptors = 2, bytes = 16, file = math.huge }

local Ledger = {}
Ledger.__index = Ledger

local ledger = {}

function ledger.new()
  return setmetatable({ done = {}, faults = {}, wrong = {}, times = {}, series = {} }, Ledger)
end

function Ledger:did(what, number) self.done[what] = (self.done[what] or 0) + (number or 1) end
function Ledger:survived(fault) self.faults[fault] = (self.faults[fault] or 0) + 1 end

--- Something that must not be.
function Ledger:found(what) self.wrong[#self.wrong + 1] = what end

--- What a process has of memory of its own, in bytes, and of descriptors; nil when it has ended.
local function process_size(pid)
  local status <close> = io.open(("/proc/%s/status"):format(pid))
  local kilobytes = status and status:read("a"):match("RssAnon:%s*(%d+) kB")
  if not kilobytes then return nil end
  local descriptors = 0
  local pipe <close> = assert(io.popen(("ls /proc/%s/fd 2>/dev/null"):format(pid)))
  for _ in pipe:lines() do descriptors = descriptors + 1 end
  return math.tointeger(tonumber(kilobytes)) << 10, descriptors
end

function Ledger:note(name, unit, value)
  local series = self.series[name] or { unit = unit, times = {}, values = {} }
  self.series[name] = series
  table.insert(series.times, self.now)
  table.insert(series.values, value)
end

--- Takes a sample, so many seconds behind the beginning. `processes` is a map of names to pids.
function Ledger:sample(now, stats, processes)
  self.now = now
  self:note("file: bytes per event", "bytes", (stats.file_size - stats.free_size)
    / math.max(stats.events + stats.links, 1))
  self:note("file: size", "file", stats.file_size)
  for name, pid in pairs(processes) do
    local memory, descriptors = process_size(pid)
    if memory then
      self:note(name .. ": memory", "memory", memory)
      self:note(name .. ": descriptors", "descriptors", descriptors)
    end
  end
  self.file_size, self.lag = stats.file_size, math.max(self.lag or 0, stats.reader_lag)
end

--- The means of the quarters.
local function quarters(series)
  local means, count = {}, #series.values
  for quarter = 1, 4 do
    local first, last, sum = (quarter - 1) * count // 4 + 1, quarter * count // 4, 0
    for index = first, last do sum = sum + series.values[index] end
    means[quarter] = last >= first and sum / (last - first + 1) or 0 / 0
  end
  return means
end

--- The slope of the line of least squares, per hour.
local function slope(series)
  local count, time, value, square, product = #series.values, 0, 0, 0, 0
  for index, now in ipairs(series.times) do
    time, value = time + now, value + series.values[index]
    square, product = square + now * now, product + now * series.values[index]
  end
  local spread = count * square - time * time
  return spread > 0 and (count * product - time * value) / spread * 3600 or 0
end

--- Says of each series that is not flat so, when the run was long enough to tell.
function Ledger:judge(seconds)
  if seconds < FLAT_SECONDS then return end
  for name, series in pairs(self.series) do
    local means = quarters(series)
    if means[4] > means[2] * FLAT + SLACK[series.unit] then
      self:found(("%s grew from %.0f in the second quarter to %.0f in the last"):format(name,
        means[2], means[4]))
    end
  end
end

local function sorted(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names)
  local index = 0
  return function()
    index = index + 1
    return names[index], map[names[index]]
  end
end

function Ledger:describe()
  local lines = {}
  local function say(...) lines[#lines + 1] = string.format(...) end
  say("operations")
  for what, number in sorted(self.done) do say("  %-34s %12d", what, number) end
  say("faults survived")
  for what, number in sorted(self.faults) do say("  %-34s %12d", what, number) end
  say("  %-34s %12d", "commits that a snapshot outlived", self.lag or 0)
  say("growth %29s %12s %12s %12s %14s", "1st quarter", "2nd", "3rd", "4th", "slope per h")
  for name, series in sorted(self.series) do
    local means = quarters(series)
    local scale = (series.unit == "memory" or series.unit == "file") and 1 << 10 or 1
    say("  %-25s %9.0f %12.0f %12.0f %12.0f %14.0f%s", name, means[1] / scale, means[2] / scale,
      means[3] / scale, means[4] / scale, slope(series) / scale, scale > 1 and " KiB" or "")
  end
  say("  %-34s %12d KiB", "file at the end", (self.file_size or 0) >> 10)
  say("losses %42d", #self.wrong)
  for _, what in ipairs(self.wrong) do say("  %s", what) end
  return table.concat(lines, "\n")
end

return ledger
