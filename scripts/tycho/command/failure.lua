--- How the command fails: two lines on standard error (what happened, what to do) and an exit code
--- by meaning. A failure is raised like any error; `main.lua` alone prints it and exits.
---
--- 0 done · 1 failed · 2 wrong usage · 3 version conflict or condition · 4 not found · 5 corrupt ·
--- 75 busy or timed out: try again.

---@class tycho.command.Failure
---@field exit integer
---@field what string
---@field advice? string
local Failure = {}
Failure.__index = Failure
Failure.__name = "tycho.command.Failure"

function Failure:__tostring()
  return self.what
end

local failure = {}

local exits = {
  invalid_argument = 2,
  invalid_expected_version = 2,
  wrong_expected_version = 3,
  condition_failed = 3,
  rejected = 3,
  duplicate_event = 3,
  event_duplicated_in_stream = 3,
  event_not_found = 4,
  event_not_found_in_stream = 4,
  not_found = 4,
  corrupt = 5,
  busy = 75,
  timeout = 75,
}

local advice = {
  invalid_argument = "see: tycho help",
  invalid_expected_version = "use any, none, exists, auto or a revision (0, 1, 2 ...)",
  wrong_expected_version = "read the stream again, decide, and write with the version it has now",
  condition_failed = "read again, decide, and write again",
  duplicate_event = "it is stored already: choose another id, or leave the id out",
  event_duplicated_in_stream = "nothing to do, or pass --skip-duplicates",
  event_not_found = "look for its id with: tycho read",
  event_not_found_in_stream = "see in which streams it is with: tycho event ID",
  not_found = "check the name, or see what there is with: tycho streams",
  rejected = "correct the event, or see what refuses it with: tycho scripts",
  too_large = "split it: the limits are in tycho.h",
  corrupt = "find out how much is damaged with: tycho verify",
  full = "free some space on the disk; nothing was changed",
  busy = "try again in a moment",
  timeout = "another process is writing: try again in a moment",
  denied = "check the permissions of the store's directory and its file system",
  no_memory = "free some memory; nothing was changed",
  io = "check the disk and the kernel's log (dmesg)",
  unknown_outcome = "see with tycho read whether it was written before trying again",
  newer_format = "use the version of tycho that wrote it, or a newer one",
}

local closed_advice = "write to that stream, or open the name: tycho route set"
local stored_advice = "deploy a version that takes the event: tycho export shows what is stored"

--- Raises a failure. `exit` is one of the codes above.
---@param exit integer
---@param what string
---@param todo? string
function failure.raise(exit, what, todo)
  error(setmetatable({ exit = exit, what = what, advice = todo }, Failure), 0)
end

--- Raises a failure of usage: exit 2.
function failure.usage(what, todo)
  failure.raise(2, what, todo or "see: tycho help")
end

--- One line of text, whatever the value is: control characters and line ends become spaces, the
--- "file:line:" that Lua puts before messages is taken off.
---@param value any
---@return string
function failure.text(value)
  local text = tostring(value)
  if type(value) == "string" then text = text:gsub("^[^\n:]+%.lua:%d+: ", "") end
  return (text:gsub("[%c]+", " "))
end

--- The failure that any raised value stands for: itself, a refusal of the store, or a message.
---@param value any
---@return tycho.command.Failure
function failure.from(value)
  if getmetatable(value) == Failure then return value end
  local code = type(value) ~= "string" and failure.code(value)
  if code then
    return setmetatable({
      exit = exits[code] or 1,
      what = failure.text(value.what or value),
      advice = value.advice or (code == "denied" and value.stream and closed_advice)
        or (code == "rejected" and value.position and stored_advice) or advice[code],
    }, Failure)
  end
  local text = failure.text(value)
  if text:find("^not enough memory") then
    return setmetatable({ exit = 1, what = text, advice = advice.no_memory }, Failure)
  end
  return setmetatable({ exit = 1, what = text, advice = "see: tycho help" }, Failure)
end

--- The code of a refusal of the store ("wrong_expected_version"), or nil.
---@param value any
---@return string?
function failure.code(value)
  if type(value) ~= "table" and type(value) ~= "userdata" then return nil end
  local found, code = pcall(function() return value.code end)
  return found and type(code) == "string" and code or nil
end

return failure
