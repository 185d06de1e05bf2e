--- The parts of the command that are functions of their arguments.
local event_line = require "tycho.command.event_line"
local failure = require "tycho.command.failure"
local input = require "tycho.command.input"
local names = require "tycho.command.names"
local occurrence = require "tycho.command.occurrence"
local output = require "tycho.command.output"
local progress = require "tycho.command.progress"
local tycho = require "tycho"

describe("the id of a content", function()
  it("is a UUID of version 8, the same for the same content, seed and number", function()
    local id = occurrence.new("seed")
    local first, second, third = id("a"), id("b"), id("a")
    assert(first:find("^%x+%-%x%x%x%x%-8%x%x%x%-[89ab]%x%x%x%-%x+$") and #first == 36, first)
    assert.is_true(first ~= second and first ~= third and second ~= third)
    id = occurrence.new("seed")
    assert.same({ first, third, second }, { id("a"), id("a"), id("b") })
    assert.are_not.equal(first, occurrence.new("other")("a"))
  end)

  it("rises with time", function()
    local id = occurrence.new("seed")
    local last = id("x", 0)
    for _, time in ipairs { 1000, 2000, 1704067200000000, 1704067200001000, 1 << 57 } do
      local next_one = id("x", time)
      assert(next_one:find("^%x+%-%x%x%x%x%-8%x%x%x%-[89ab]%x%x%x%-%x+$") and #next_one == 36)
      assert.is_true(last < next_one)
      last = next_one
    end
    assert.equal(36, #id("x", -1))
    assert.equal(36, #id("x", math.mininteger))
  end)

  it("numbers equal contents exactly as long as they are near, in bounded memory", function()
    local function id_after(between)
      local id, held = occurrence.new("", 10)
      id("start")
      id("x")
      for i = 1, between do id("other " .. i) end
      local found = id("x")
      assert(held() <= 20)
      return found
    end
    local first = occurrence.new("")("x")
    local second = id_after(0)
    assert.are_not.equal(first, second)
    for between = 1, 9 do assert.equal(second, id_after(between)) end
    for between = 10, 40 do assert.equal(first, id_after(between)) end
  end)
end)

describe("the name of a stream", function()
  it("is the text where that is a valid name", function()
    for _, text in ipairs { "Package$libc6:amd64", "File$r/a b", "é€😀", ("x"):rep(255) } do
      assert.equal(text, names.stream(text))
    end
  end)

  it("escapes controls and what is not UTF-8, and cuts what is too long", function()
    assert.equal("a%0Ab%7F%FFc%C3", names.stream("a\nb\x7F\xFFc\xC3"))
    assert.equal("%C2%85é", names.stream("\xC2\x85é"))
    local one, two = names.stream(("é"):rep(200)), names.stream(("é"):rep(201))
    assert.is_true(#one <= 255 and #two <= 255 and one ~= two)
    assert(utf8.len(one) and utf8.len(two))
    local store <close> = tycho.temporary()
    for length = 120, 300 do
      for _, text in ipairs { ("\xFF"):rep(length), ("a€"):rep(length), ("\0é"):rep(length) } do
        store:append(names.stream(text), { type = "T" })
      end
    end
  end)
end)

describe("a time", function()
  it("is RFC 3339, a date, or microseconds", function()
    assert.equal(1704067200000000, event_line.time("2024-01-01"))
    assert.equal(1704067200000001, event_line.time("2024-01-01T00:00:00.000001Z"))
    assert.equal(-5, event_line.time("-5"))
    assert.equal(5, event_line.time(5.0))
    for _, value in ipairs { "", "x", 1.5, 0 / 0, true, {}, "2024-13-01", ("9"):rep(20) } do
      local time, message = event_line.time(value)
      assert.is_nil(time)
      assert.equal("string", type(message))
    end
  end)
end)

describe("output", function()
  it("groups digits and gives sizes units", function()
    for number, text in pairs {
      [0] = "0", [999] = "999", [1000] = "1,000", [-1234567] = "-1,234,567",
      [123456] = "123,456", [math.maxinteger] = "9,223,372,036,854,775,807",
    } do
      assert.equal(text, output.count(number))
    end
    assert.same({ "1023 B", "1.0 KiB", "2.5 MiB", "1.0 TiB" }, {
      output.bytes(1023), output.bytes(1024), output.bytes(5 << 19), output.bytes(1 << 40),
    })
  end)

  it("shows progress with rate and time left", function()
    assert.equal("5,000 events  2,500/s", progress.text("events", 5000, 2))
    assert.equal("5,000 events  2,500/s  25 %  0:06 left", progress.text("events", 5000, 2, 0.25))
    assert.equal("1 events  0/s  1 %  1:39:00 left", progress.text("events", 1, 60, 0.01))
  end)
end)

describe("a failure", function()
  it("has one line, and the exit code of what it means", function()
    assert.equal("a b c", failure.text("a\nb\r\n\tc"))
    local ok, err = pcall(function()
      local store <close> = tycho.temporary()
      store:append("s", { type = "T" }, { expected_version = 3 })
    end)
    assert.is_false(ok)
    assert.equal(3, failure.from(err).exit)
    assert.equal(1, failure.from("file.lua:3: oops").exit)
    assert.equal("oops", failure.from("file.lua:3: oops").what)
    assert.equal(1, failure.from(nil).exit)
    assert.equal(1, failure.from({}).exit)
  end)
end)

describe("lines of a file", function()
  it("are the same wherever blocks end", function()
    local path = os.tmpname()
    finally(function() os.remove(path) end)
    local lines = {}
    for i = 1, 400 do lines[i] = ("%d"):format(i):rep(i * 7 % 5000) end
    lines[200] = ("long"):rep(200000)
    local file <close> = assert(io.open(path, "wb"))
    assert(file:write(table.concat(lines, "\n")))
    assert(file:flush())
    local read <close> = input.open(path)
    local found = {}
    for line in function() return read:line() end do found[#found + 1] = line end
    assert.equal(400, #found)
    for i = 1, 400 do assert.is_true(lines[i] == found[i], "line " .. i) end
    assert.is_nil(read:line())
  end)
end)
