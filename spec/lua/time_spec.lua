--- RFC 3339 text and microseconds.

local tycho = require "tycho"

local random = require "support.random"

describe("parse_time", function()
  it("reads times with zones and fractions", function()
    local cases = {
      ["1970-01-01T00:00:00Z"] = 0,
      ["1970-01-01t00:00:00z"] = 0,
      ["1970-01-01 00:00:01Z"] = 1000000,
      ["2011-09-30T22:38:44.546Z"] = 1317422324546000,
      ["2011-09-30T22:38:44.546+02:00"] = 1317415124546000,
      ["2011-09-30T22:38:44-00:30"] = 1317424124000000,
      ["1969-12-31T23:59:59.999999Z"] = -1,
      ["2000-02-29T00:00:00.1Z"] = 951782400100000,
      ["2000-02-29T00:00:00.123456789Z"] = 951782400123456,
      ["0000-01-01T00:00:00Z"] = -62167219200000000,
      ["9999-12-31T23:59:59.999999Z"] = 253402300799999999,
    }
    for text, time in pairs(cases) do assert.equal(time, tycho.parse_time(text), text) end
  end)

  it("refuses everything else with the reason", function()
    local cases = {
      [""] = "the year", ["2011"] = "the date", ["2011-09-30"] = "no T",
      ["2011-13-01T00:00:00Z"] = "the month is not",
      ["2011-02-29T00:00:00Z"] = "does not have that day",
      ["1900-02-29T00:00:00Z"] = "does not have that day",
      ["2011-09-31T00:00:00Z"] = "does not have that day",
      ["2011-09-30T24:00:00Z"] = "the hour", ["2011-09-30T00:60:00Z"] = "the minute",
      ["2011-09-30T23:59:60Z"] = "the second", ["2011-09-30T00:00:00"] = "a zone is needed",
      ["2011-09-30T00:00:00.Z"] = "a fraction", ["2011-09-30T00:00:00.1234567890Z"] = "a fraction",
      ["2011-09-30T00:00:00+2:00"] = "zone's hour", ["2011-09-30T00:00:00+02"] = "the zone",
      ["2011-09-30T00:00:00+02:60"] = "zone's minute",
      ["2011-09-30T00:00:00Z "] = "something follows", ["+011-09-30T00:00:00Z"] = "the year",
      ["2011-09-30T00:00:00Z\0"] = "something follows", [" 2011-09-30T00:00:00Z"] = "the year",
    }
    for text, reason in pairs(cases) do
      local time, message = tycho.parse_time(text)
      assert.is_nil(time, text)
      assert.truthy(message:find(reason, 1, true), text .. ": " .. message)
    end
    assert.has_error(function() tycho.parse_time(2011) end)
  end)

  it("survives any bytes", function()
    local start = "2011-09-30T22:38:44.546+02:00"
    for seed = 1, 2000 do
      local draw = random.new(seed)
      local at = draw:between(1, #start)
      local text = start:sub(1, at - 1) .. string.char(draw:between(0, 255)) .. start:sub(at + 1)
      text = text:sub(1, draw:between(0, #text))
      local time, message = tycho.parse_time(text)
      assert.is_true(math.type(time) == "integer" or type(message) == "string")
    end
  end)
end)

describe("format_time", function()
  it("writes as many digits as are needed", function()
    assert.equal("1970-01-01T00:00:00Z", tycho.format_time(0))
    assert.equal("1970-01-01T00:00:00.001Z", tycho.format_time(1000))
    assert.equal("1970-01-01T00:00:00.000001Z", tycho.format_time(1))
    assert.equal("1969-12-31T23:59:59.999999Z", tycho.format_time(-1))
    assert.equal("0000-01-01T00:00:00Z", tycho.format_time(-62167219200000000))
    assert.equal("9999-12-31T23:59:59.999999Z", tycho.format_time(253402300799999999))
  end)

  it("is the inverse of parse_time", function()
    for seed = 1, 5000 do
      local time = random.new(seed):between(-62167219200000000, 253402300799999999)
      assert.equal(time, tycho.parse_time(tycho.format_time(time)))
    end
  end)

  it("agrees with the C library on dates", function()
    for day = -719528, 2932896, 9973 do
      local seconds = day * 86400 + 3661
      local expected = os.date("!%m-%dT%H:%M:%SZ", seconds)
      assert.equal(expected, tycho.format_time(seconds * 1000000):sub(6))
    end
  end)

  it("refuses years that RFC 3339 does not have", function()
    local beyond = { 253402300800000000, -62167219200000001, math.maxinteger, math.mininteger }
    for _, time in ipairs(beyond) do
      assert.has_error(function() tycho.format_time(time) end)
    end
  end)
end)
