--- The catch-up process: renames the stream while the publishers go on. Killed and started again,
--- it goes on where it was.
---
---   lua5.4 catchup.lua DIRECTORY rename|switcher CHUNK UNIT
---
--- CHUNK is how many events are linked at a time, UNIT the pause after it in milliseconds.

local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path
local experiment = require "experiment"

local directory, style = arg[1], arg[2]
local chunk, unit = math.tointeger(arg[3]), tonumber(arg[4])
local store <close> = experiment.open(directory)

if style == "rename" then
  store:rename { source = experiment.source, target = experiment.target, chunk = chunk,
    pause = unit / 1000 }
else
  local switcher = experiment.switcher(store, directory, chunk)
  local processed, is_switched
  repeat
    processed, is_switched = switcher:catchup(processed)
    experiment.pause(store, unit)
  until is_switched
end
