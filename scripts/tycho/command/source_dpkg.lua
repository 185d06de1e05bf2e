--- Events from the log of Debian's package manager, /var/log/dpkg.log*, plain or gzip.
---
---   2025-06-24 14:36:25 status installed libc6:amd64 2.36-9     Package$libc6:amd64
---                                     StatusChanged {package, architecture, version, status}
---   2025-06-24 14:36:25 upgrade libc6:amd64 2.36-8 2.36-9       Package$libc6:amd64
---                UpgradeStarted {package, architecture, version, previous_version}
---   2025-06-24 14:36:25 startup archives unpack                 Dpkg
---                                             RunStarted {command, arguments}
---   2025-06-24 14:36:25 conffile /etc/a keep                    Conffile$/etc/a
---                                                        ConffileDecided {path, decision}
---
--- Times in the log are local and have whole seconds. The id of an event is made of its line.
local input = require "tycho.command.input"
local names = require "tycho.command.names"
local occurrence = require "tycho.command.occurrence"
local tycho = require "tycho"

local actions = {
  install = "InstallStarted",
  upgrade = "UpgradeStarted",
  configure = "ConfigureStarted",
  trigproc = "TriggersStarted",
  remove = "RemoveStarted",
  purge = "PurgeStarted",
  disappear = "DisappearanceNoted",
}

local function version(text)
  return text ~= "" and text ~= "<none>" and text or nil
end

local function package_event(type, package, data)
  data.package, data.architecture = package:match("^(.*):([^:]*)$")
  data.package = data.package or package
  return { type = type, data = data }, names.stream("Package$" .. package)
end

local function status_event(rest)
  local status, package, present = rest:match("^(%S+) (%S+) ?(%S*)$")
  if not status then return nil end
  return package_event("StatusChanged", package, { status = status, version = version(present) })
end

local function action_event(action, rest)
  local package, before, after = rest:match("^(%S+) ?(%S*) ?(%S*)$")
  if not package then return nil end
  local is_change = action == "install" or action == "upgrade"
  return package_event(actions[action], package, {
    version = version(is_change and after or before),
    previous_version = is_change and version(before) or nil,
  })
end

-- The event and the stream of what follows the time; nil when it is not understood.
local function event_of(word, rest)
  if word == "status" then
    return status_event(rest)
  elseif actions[word] then
    return action_event(word, rest)
  elseif word == "startup" then
    local command, arguments = rest:match("^(%S+) ?(.*)$")
    if not command then return nil end
    return { type = "RunStarted", data = { command = command, arguments = arguments } }, "Dpkg"
  elseif word == "conffile" then
    local path, decision = rest:match("^(.+) (%S+)$")
    if not path then return nil end
    return { type = "ConffileDecided", data = { path = path, decision = decision } },
      names.stream("Conffile$" .. path)
  end
end

-- Local time to microseconds, and the same as if it were UTC: ids must not depend on where the log
-- is read. The same second is asked for many times in a row.
local last_text, last_time, last_as_utc
local function local_time(text)
  if text == last_text then return last_time, last_as_utc end
  local year, month, day, hour, minute, second =
    text:match("^(%d%d%d%d)%-(%d%d)%-(%d%d) (%d%d):(%d%d):(%d%d)$")
  if not year then return nil end
  local seconds = os.time {
    year = year, month = month, day = day, hour = hour, min = minute, sec = second,
  }
  if not seconds then return nil end
  last_text, last_time = text, seconds * 1000000
  last_as_utc = tycho.parse_time(text .. "Z")
  return last_time, last_as_utc
end

local advice = "is this a log of dpkg? skip such lines with: --on-error skip"

--- The parser of lines for `line_source.lua`.
local function parser()
  local id_of
  local self = {}

  function self.start()
    id_of = occurrence.new("dpkg\0")
  end

  function self.item(line)
    local time_text, word, rest = line:match("^(%S+ %S+) (%S+) ?(.-)%s*$")
    local time, as_utc
    if time_text then time, as_utc = local_time(time_text) end
    if not time then return nil, "the line does not begin with a time", advice end
    local event, stream = event_of(word, rest)
    if not event then return nil, ("the line is not understood: %q"):format(word), advice end
    event.time, event.id = time, id_of(line, as_utc)
    return { event = event, stream = stream }
  end

  return self
end

--- The files in the order of their first lines: rotated logs are older than what has their name.
---@param paths string[]
---@return string[]
local function by_age(paths)
  local first = {}
  for index, path in ipairs(paths) do
    local file <close> = input.open(path)
    first[path] = ("%s\0%06d"):format(file:line() or "", index)
  end
  local sorted = table.move(paths, 1, #paths, 1, {})
  table.sort(sorted, function(a, b) return first[a] < first[b] end)
  return sorted
end

--- The logs of this machine.
local function default_paths()
  local paths = {}
  local pipe <close> = io.popen("ls -d /var/log/dpkg.log* 2>/dev/null", "r")
  for path in pipe:lines() do paths[#paths + 1] = path end
  return paths
end

return { parser = parser, by_age = by_age, default_paths = default_paths }
