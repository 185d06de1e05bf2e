--- What `make demo` runs: real events of this machine through the whole of Tycho.
---
---   lua5.4 examples/demo/demo.lua DIRECTORY [FILE]
---
--- It imports the package log of the machine, the history of this repository and, when given, a
--- FILE of NDJSON (gzip or not) with the command; links the events by a rule written in Lua; folds
--- them into rows; renames the busiest day's stream while another process writes to it; verifies
--- the store; and says what it did and how fast. The store is left in DIRECTORY/store, to be looked
--- at with the command.

local tycho = require "tycho"

local directory, file = arg[1], arg[2]
if not directory then
  io.stderr:write("usage: lua5.4 examples/demo/demo.lua DIRECTORY [FILE]\n")
  os.exit(2)
end
local store_path = directory .. "/store"

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function grouped(number)
  local digits = ("%d"):format(number):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (digits:gsub("^,", ""))
end

--- Says how many of what took how long.
local function report(count, what, started)
  local seconds = (tycho.now() - started) / 1e6
  if count == 1 then what = what:gsub("s$", "") end
  print(("  %s %s in %.2f s: %s a second"):format(grouped(count), what, seconds,
    grouped(math.floor(count / math.max(seconds, 1e-6)))))
end

local function output_of(command)
  local pipe <close> = assert(io.popen(command .. " 2>/dev/null"))
  return (pipe:read("a"):gsub("%s+$", ""))
end

-- Importing ---------------------------------------------------------------------------------------

local function head()
  local found, store = pcall(tycho.open, store_path, { mode = "read_only" })
  if not found then return 0 end
  local position <const> = store:head()
  store:close()
  return position
end

--- One source: its name, the arguments of `tycho import`, and why it is left out, if it is.
local function import(name, arguments, obstacle)
  print("Importing " .. name)
  if obstacle then
    print("  left out: " .. obstacle)
    return
  end
  local before, started = head(), tycho.now()
  local command = ("./tycho import --store %s %s"):format(quoted(store_path), arguments)
  if not os.execute(command .. " >/dev/null") then os.exit(1) end
  report(head() - before, "events", started)
end

local function import_all()
  local logs = output_of("ls -r /var/log/dpkg.log*"):gsub("\n", " ")
  import("the package log of this machine", "--from dpkg " .. logs,
    logs == "" and "there is no /var/log/dpkg.log here" or nil)
  local is_repository = output_of("git rev-parse --verify HEAD") ~= ""
  import("the history of this repository", "--from git .",
    not is_repository and "this is not a git repository with a commit" or nil)
  if file then import(file, quoted(file)) end
end

-- Linking -----------------------------------------------------------------------------------------

--- The rule: an event belongs to the day on which it happened.
local function stream_of(event)
  return "day-" .. tycho.format_time(event.time):sub(1, 10)
end

--- Links one page of events, together with the checkpoint that says so: should two processes run
--- this at once, or one be killed half-way, every event is still linked exactly once.
local function link_page(store, events, checkpoint)
  local ids_of, names = {}, {}
  for _, event in ipairs(events) do
    local name = stream_of(event)
    if not ids_of[name] then
      ids_of[name] = {}
      names[#names + 1] = name
    end
    table.insert(ids_of[name], event.id)
  end
  store:batch(function(batch)
    batch:expect_checkpoint("days", checkpoint)
    for _, name in ipairs(names) do
      batch:link(name, ids_of[name])
    end
    batch:set_checkpoint("days", events[#events].position)
  end)
end

local function link_all(store)
  print("Linking each event to its day, by a rule in Lua")
  local started, count = tycho.now(), 0
  local checkpoint = store:checkpoint("days")
  for events in store:read():from_position(checkpoint):each_batch(1000) do
    link_page(store, events, checkpoint)
    checkpoint = events[#events].position
    count = count + #events
  end
  report(count, "links", started)
end

-- Folding -----------------------------------------------------------------------------------------

--- Folds the events of each day into a row of the table "days".
local function fold_all(store)
  print("Folding each day into a row")
  local started, count, days = tycho.now(), 0, {}
  for name in store:streams({ prefix = "day-" }) do
    local day = { name = name, events = 0, types = {} }
    for event in store:read():stream(name):each() do
      day.events = day.events + 1
      day.types[event.type] = (day.types[event.type] or 0) + 1
    end
    count = count + day.events
    days[#days + 1] = day
  end
  if #days > 0 then
    store:batch(function(batch)
      for _, day in ipairs(days) do
        batch:put_row("days", day.name, { events = day.events, types = day.types })
      end
    end)
  end
  report(count, "events", started)
end

local function print_summary(store)
  local days = {}
  for name, row in store:rows("days") do
    days[#days + 1] = { name = name, events = row.events, types = row.types }
  end
  table.sort(days, function(a, b)
    if a.events ~= b.events then return a.events > b.events end
    return a.name < b.name
  end)
  print(("The busiest of %d days"):format(#days))
  local busiest = days[1] and days[1].name
  for index = 1, math.min(5, #days) do
    local day, types = days[index], {}
    for name in pairs(day.types) do types[#types + 1] = name end
    table.sort(types, function(a, b)
      if day.types[a] ~= day.types[b] then return day.types[a] > day.types[b] end
      return a < b
    end)
    local parts = {}
    for each = 1, math.min(3, #types) do
      parts[each] = ("%s %s"):format(grouped(day.types[types[each]]), types[each])
    end
    if #types > 3 then parts[4] = ("%d more types"):format(#types - 3) end
    print(("  %s  %8s events: %s"):format(day.name:sub(5), grouped(day.events),
      table.concat(parts, ", ")))
  end
  return busiest
end

-- Renaming ----------------------------------------------------------------------------------------

--- Renames in steps small enough to be watched, and gives how many entries the source has now.
local function rename(store, source, target)
  local size = store:read():stream(source):count()
  store:rename { source = source, target = target, chunk = math.min(10000, size // 5 + 1),
    pause = 0.1, progress = function(status)
      print(("  %-9s %s of %s"):format(status.phase, grouped(status.linked), grouped(status.total)))
    end }
  return store:read():stream(source):raw():count()
end

--- Whether the stream has these many events, in the order of the store, and the notes of the
--- publisher from the first to the last.
local function is_whole(store, stream, count, notes)
  local position, found, last = 0, 0, 0
  for event in store:read():stream(stream):each() do
    if event.position <= position then return false end
    position, found = event.position, found + 1
    if event.type == "NoteTaken" then
      if event.data.number ~= last + 1 then return false end
      last = event.data.number
    end
  end
  return found == count and last == notes
end

local function rename_live(store, source)
  local target = "busiest-day"
  print(("Renaming %s to %s, while another process writes to %s"):format(source, target, source))
  local before = store:read():stream(source):count()
  local command = ("exec timeout 60 lua5.4 examples/demo/publisher.lua %s %s"):format(
    quoted(store_path), quoted(source))
  local publisher <close> = assert(io.popen(command))
  assert(publisher:read("l") == "publishing", "the publisher did not start")
  store:wait(math.maxinteger, 0.1)
  local linked = rename(store, source, target)
  store:wait(math.maxinteger, 0.1)
  store:set_checkpoint("demo-stop", 1)
  local notes, longest = publisher:read("n", "n")
  local is_good = is_whole(store, source, before + notes, notes)
  print(("  it wrote %s events before the switch and %s after it; the slowest took %.1f ms"):format(
    grouped(linked - before), grouped(before + notes - linked), longest / 1000))
  print(is_good and ("  all %s are in %s, once and in order; %s leads there"):format(
    grouped(before + notes), target, source) or "  BUT the target has not all of them in order")
  return is_good
end

-- Proving -----------------------------------------------------------------------------------------

local function verify(store)
  print("Verifying every index against every record")
  local started = tycho.now()
  local result = store:verify()
  report(result.events, "events", started)
  for _, finding in ipairs(result.findings) do print("  damaged: " .. finding) end
  return #result.findings == 0
end

os.execute("rm -rf " .. quoted(store_path))
os.execute("mkdir -p " .. quoted(directory))
import_all()

local store <close> = tycho.open(store_path)
link_all(store)
fold_all(store)
local busiest = print_summary(store)
local is_sound = busiest == nil or rename_live(store, busiest)
is_sound = verify(store) and is_sound
local stats = store:stats()
print(("The store: %s events, %s streams, %s links, %s rows, %s types, %.1f MiB"):format(
  grouped(stats.events), grouped(stats.streams), grouped(stats.links), grouped(stats.rows),
  grouped(stats.types), stats.file_size / 2 ^ 20))
print(("  look at it: ./tycho streams --store %s"):format(store_path))
store:close()
os.exit(is_sound and 0 or 1, true)
