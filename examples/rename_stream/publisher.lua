--- A publisher: writes one event after the other until it is told to stop, or killed.
---
---   lua5.4 publisher.lua DIRECTORY NUMBER STYLE UNIT
---
--- STYLE is how it names the stream, and how it gets over being killed:
---   route     writes to the route. Its events have ids made of their numbers, so that it can send
---             the one again that it got no answer for (idempotent)
---   name      likewise, to the source by its own name, as publishers do who know of no route
---   version   reads the stream's version, decides by it, and writes on the condition that it
---             still holds; after a conflict, again. Looks in the log which of its events was last
---   switcher  through the switcher of the article
--- UNIT is the longest pause between two events in milliseconds.
---
--- Each event has the publisher's number and its own, and in the style `version` how many events
--- the stream had when it was decided.

local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path
local experiment = require "experiment"

local directory, publisher = arg[1], math.tointeger(arg[2])
local style, unit = arg[3], tonumber(arg[4])
local store <close> = experiment.open(directory)
local acknowledge = experiment.append_to(directory, publisher, "ack")
local note_conflict = experiment.append_to(directory, publisher, "conflict")

local function event_of(number)
  return {
    type = "OrderPlaced", tags = { experiment.tag(publisher) },
    data = { publisher = publisher, number = number },
  }
end

local function last_acknowledged()
  local lines = experiment.lines_of(directory, publisher, "ack")
  return #lines > 0 and lines[#lines][1] or 0
end

local function last_in_log()
  local event = store:read():tagged(experiment.tag(publisher)):last()
  return event and event.data.number or 0
end

--- Each style gives a function that publishes the event of a number, and one that says which was
--- the last number that is known to be published.
local styles = {}

local function with_ids(stream)
  local function publish(number)
    local event = event_of(number)
    event.id = ("order-%d-%d"):format(publisher, number)
    return store:append(stream, event, { idempotent = true })
  end
  return publish, last_acknowledged
end

function styles.route() return with_ids(experiment.route) end
function styles.name() return with_ids(experiment.source) end

function styles.version()
  local function publish(number)
    while true do
      local head, version = store:head(), store:stream_version(experiment.source)
      local event = event_of(number)
      event.data.decided_on = version + 1
      local ok, result = pcall(store.append, store, experiment.source, event,
        { expected_version = version })
      if ok then return result end
      if result.code ~= "wrong_expected_version" then error(result, 0) end
      note_conflict(version, result.actual, head)
    end
  end
  return publish, last_in_log
end

function styles.switcher()
  local switcher = experiment.switcher(store, directory)
  return function(number) return switcher:publish(event_of(number)) end, last_in_log
end

local publish, last = styles[style]()
local number = last()
io.stdout:write("publishing\n")
io.stdout:flush()
while store:checkpoint(experiment.stop) == 0 do
  number = number + 1
  local receipt = publish(number)
  acknowledge(number, receipt.first_position, receipt.results[1].first_revision)
  experiment.pause(store, unit)
end
