--- `tycho repl`, and the reach of `tycho rpc`.
local command = require "support.command"

describe("tycho repl", function()
  local tycho

  before_each(function() tycho = command.new() end)
  after_each(function() tycho:close() end)

  it("runs code that is given, and prints values", function()
    assert.equal("3\n", tycho:must("repl -e '1 + 2'"))
    assert.equal('"a\\n"\tnil\t{ 1, 2, k = { x = true } }\n',
      tycho:must([[repl -e '"a\n", nil, {1, 2, k = {x = true}}']]))
    assert.equal("1\n", tycho:must(
      [[repl -e 'x = store:publish("s", {type = "T"})' -e 'x.head']]))
    assert(tycho:must("repl -e 'store:read():first()'"):find('^{.*"event_type":"T"'))
    assert.equal("{ {}, { (itself) } }\n",
      tycho:must("repl -e 'local t = {{}}; t[2] = t; return t'"))
  end)

  it("runs chunks of standard input, also of several lines", function()
    local out = tycho:must("repl", { stdin = [[
for i = 1, 3 do
  store:publish("s", {type = "T", data = {i = i}})
end
.streams
store:read():stream("s"):
  count()
sum = 0
for e in store:read():each() do sum = sum + e.data.i end

sum
.read s --limit 1
]] })
    assert.equal("3\t2\ts\n", out:match("^[^\n]*\n"))
    assert(out:find("\n6\n1\t", 1, true), out)
  end)

  it("ends with 1 at the first error of a script, and names it", function()
    local result = tycho:run("repl", { stdin = "1\nerror('broken')\n2\n" })
    assert.equal(1, result.status)
    assert.equal("1\n", result.out)
    assert(result.err:find("broken", 1, true))
    result = tycho:run("repl -e 'x x'")
    assert.equal(2, result.status)
    assert(result.err:find("^tycho: %-e:1: "), result.err)
    result = tycho:run([[repl -e 'store:publish("s", {type="T"}, {expected_version = 4})']])
    assert.equal(3, result.status)
    result = tycho:run("repl", { stdin = "for i = 1, 2 do" })
    assert.equal(1, result.status)
    result = tycho:run("repl", { stdin = ".read --limit x" })
    assert.equal(1, result.status)
  end)

  it("has a prompt on a terminal, goes on after an error, and remembers lines", function()
    if not command.has("script") then return pending("needs the program script, of bsdutils") end
    local out = tycho:shell(([[
      printf '1 + 41\nerror("oops")\n.help\n.quit\n' |
        HOME=$dir TERM=dumb script -qec %s /dev/null
    ]]):format(command.quote(command.program .. " repl")))
    assert(out:find("\n42\r", 1, true), out)
    assert(out:find("tycho: oops", 1, true), out)
    assert(out:find(".quit            end", 1, true), out)
    local history <close> = assert(io.open(tycho:path(".tycho_history")))
    assert(history:read("a"):find("41"))
  end)
end)

describe("tycho rpc", function()
  it("answers the host protocol until the end of input", function()
    local program = command.new()
    local requests = [[
{"id":1,"op":"ping"}
{"id":2,"op":"append","stream":"s","expected_version":"none","records":[
  {"event_id":"e1","event_type":"T","data":{"x":1},"metadata":{},"timestamp":1,"valid_at":1}]}
{"id":3,"op":"global_position","event_id":"e1"}
{"id":4,"op":"nonsense"}
]]
    local answers = command.decode(program:must("rpc " .. program.store,
      { stdin = requests:gsub("%[\n *", "["), store = false }))
    assert.same({ true, true, true, false },
      { answers[1].ok, answers[2].ok, answers[3].ok, answers[4].ok })
    assert.equal("pong", answers[1].result)
    assert.equal("e1", program:objects("read s")[1].event_id)
    program:close()
  end)
end)
