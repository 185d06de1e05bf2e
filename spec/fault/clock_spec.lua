--- A clock that is set while a store is used, by a library that is preloaded (soak/clock.c): what
--- lasts and what waits goes by CLOCK_MONOTONIC, and only times of events follow the clock.

local process = require "support.process"
local scratch = require "support.scratch"
local tycho = require "tycho"

local SHIM = "build/soak/clock.so"

describe("A clock that is set", function()
  local path, directory
  scratch.each(function(...)
    path, directory = ...
    local file <close> = assert(io.open(directory .. "/clock", "wb"))
    file:write(string.pack("<i8", 0))
  end)

  local function run(check)
    local clock = process.quote(directory .. "/clock")
    local child = process.lua("spec/fault/clock_set.lua", { check, path, directory },
      ("exec 2>&1; export SOAK_CLOCK=%s LD_PRELOAD=\"$LD_PRELOAD $PWD/%s\""):format(clock, SHIM))
    local status, lines = child:wait()
    assert.equal(0, status, table.concat(lines, "\n"))
  end

  --- Another process that has a lock from now on.
  local function hold(name)
    tycho.open(path):close()
    assert.is_truthy(process.lua("spec/fault/lock_holder.lua", { path, name }):read())
  end

  it("moves the times of events, but neither positions nor the order of ids", function()
    run("events")
  end)

  it("makes no wait longer or shorter", function() run("waits") end)

  it("makes no wait for a lock longer, and no owner one from the future", function()
    hold("held")
    run("lock")
  end)

  it("lets the host protocol rename a stream, resting as long as was asked", function()
    run("rename")
  end)

  it("lets the host protocol give up a lock in time", function()
    hold("tycho.switch:b")
    run("rename_waits")
  end)
end)
