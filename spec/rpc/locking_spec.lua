--- The host protocol, locks: between sessions, connections and processes, also when an owner is
--- killed; and what a token keeps out.

local connection = require "support.connection"
local rpc = require "support.rpc"
local scratch = require "support.scratch"
local tycho = require "tycho"

describe("The host protocol", function()
  local path, a, b
  scratch.each(function(place)
    path = place
    a = connection.open(path)
    b = connection.open(path)
  end)

  describe("lock", function()
    it("gives tokens that rise, and unlock gives it back", function()
      local last = 0
      for _, c in ipairs { a, b, a } do
        local token = c:ask("lock", { name = "l" }).token
        assert.is_true(token > last)
        last = token
        assert.is_true(c:ask("unlock", { name = "l" }))
      end
      local token = a:ask("lock", { name = "l" }).token
      assert.equal("not_found", a:refused("unlock", { token = token + 1 }).error)
      assert.equal("not_found", a:refused("unlock", { name = "m", token = token }).error)
      assert.equal("not_found", b:refused("unlock", { token = token }).error)
      assert.is_true(a:ask("unlock", { token = token }))
      assert.equal("not_found", a:refused("unlock", { token = token }).error)
      a:close()
      b:close()
    end)

    it("refuses who does not wait, and who has waited, with the owner", function()
      local before = tycho.now()
      local token = a:ask("lock", { name = "l" }).token
      for _, timeout in ipairs { 0, 50 } do
        local answer = b:refused("lock", { name = "l", timeout_ms = timeout })
        assert.is_true(answer.error == "timeout" or answer.error == "busy")
        assert.equal(a.pid, answer.owner.pid)
        assert.equal(token, answer.owner.token)
        assert.equal("string", type(answer.owner.host))
        assert.equal("integer", math.type(answer.owner.thread))
        assert.is_true(answer.owner.since >= before and answer.owner.since <= tycho.now())
      end
      a:close()
      assert.is_true(b:ask("lock", { name = "l" }).token > token)
      b:close()
    end)

    it("that waits holds up nobody, and gets its turn", function()
      local token = a:ask("lock", { name = "l" }).token
      local waiting = b:send("lock", { name = "l", timeout_ms = -1 })
      b:ask("append", { records = { { event_type = "t" } } })
      assert.equal(1, b:ask("head"))
      assert.equal("busy", b:refused("lock", { name = "l" }).error)
      assert.is_nil(b.kept[waiting])
      assert.is_true(a:ask("unlock", { token = token }))
      local answer = b:line(waiting)
      assert.is_true(answer.ok)
      assert.is_true(answer.result.token > token)
      a:close()
      b:close()
    end)

    it("belongs to its session, which cannot take it twice", function()
      local token = a:ask("lock", { name = "l" }).token
      local answer = a:refused("lock", { name = "l" })
      assert.equal("busy", answer.error)
      assert.equal(token, answer.owner.token)
      assert.truthy(answer.message:find("holds", 1, true))
      assert.is_true(a:ask("lock", { name = "m" }).token > token)
      a:close()
      b:close()
    end)

    it("is cancelled while it waits", function()
      a:ask("lock", { name = "l" })
      local waiting = b:send("lock", { name = "l" })
      assert.is_true(b:ask("cancel", { request = waiting }))
      local answer = b:line(waiting)
      assert.equal("timeout", answer.error)
      assert.truthy(answer.message:find("cancelled", 1, true))
      assert.is_false(b:ask("cancel", { request = waiting }))
      a:ask("unlock", { name = "l" })
      b:ask("lock", { name = "l" })
      a:close()
      b:close()
    end)

    it("goes to the next when its owner is killed", function()
      for _ = 1, 3 do
        local token = a:ask("lock", { name = "l" }).token
        local waiting = b:send("lock", { name = "l" })
        b:ask("head")
        a:kill()
        local answer = b:line(waiting)
        assert.is_true(answer.ok)
        assert.is_true(answer.result.token > token)
        a, b = b, connection.open(path)
        a:ask("unlock", { name = "l" })
      end
      a:close()
      b:close()
    end)

    it("is given back at the end of input, while others wait and it waits itself", function()
      a:ask("lock", { name = "l" })
      b:ask("lock", { name = "m" })
      local waits = b:send("lock", { name = "l" })
      local hopeless = a:send("lock", { name = "m" })
      a:ask("head")
      b:ask("head")
      local rest, status = a:close()
      assert.equal(0, status)
      assert.equal("timeout", rest[hopeless][1].error)
      assert.is_true(b:line(waits).ok)
      b:close()
    end)

    it("is refused in words when its fields are not right", function()
      for _, fields in ipairs { {}, { name = "" }, { name = 5 }, { name = "l", timeout_ms = -2 },
        { name = "l", timeout_ms = "1" }, { name = "l", timeout = 1 }, { name = ("x"):rep(256) },
        { name = "l\1" } } do
        assert.equal("invalid_argument", a:refused("lock", fields).error)
      end
      for _, fields in ipairs { {}, { name = "" }, { token = 0 }, { token = "1" },
        { lock = "l" } } do
        assert.equal("invalid_argument", a:refused("unlock", fields).error)
      end
      a:close()
      b:close()
    end)
  end)

  it("lists the locks that are held", function()
    assert.same({}, a:ask("locks"))
    local second = b:ask("lock", { name = "b" }).token
    local first = a:ask("lock", { name = "a" }).token
    local waiting = b:send("lock", { name = "a" })
    b:ask("head")
    local locks = a:ask("locks")
    assert.equal(2, #locks)
    assert.equal("a", locks[1].name)
    assert.equal(first, locks[1].token)
    assert.equal(a.pid, locks[1].pid)
    assert.equal("b", locks[2].name)
    assert.equal(second, locks[2].token)
    assert.equal(0, locks[2].waiters)
    a:ask("unlock", { name = "a" })
    assert.is_true(b:line(waiting).ok)
    a:close()
    b:close()
  end)

  it("keeps out who lost the lock meanwhile", function()
    local function write(c, token)
      return { conditions = { { lock = "l", token = token } }, operations = { { op = "append",
        stream = "s", records = { { event_type = "t", data = { by = c.pid } } } } } }
    end
    local late = a:ask("lock", { name = "l" }).token
    a:ask("batch", write(a, late))
    assert.equal("condition_failed", b:refused("batch", write(b, late + 1)).error)
    a:ask("unlock", { name = "l" })
    local token = b:ask("lock", { name = "l" }).token
    local answer = a:refused("batch", write(a, late))
    assert.equal("condition_failed", answer.error)
    assert.equal(0, answer.condition)
    assert.equal(token, answer.actual)
    b:ask("batch", write(b, token))
    for _, condition in ipairs { { lock = "l" }, { lock = 5, token = 1 },
      { lock = "l", token = -1 }, { lock = "l", token = 1, name = "l" } } do
      assert.equal("invalid_argument",
        a:refused("batch", { conditions = { condition }, operations = {} }).error)
    end
    assert.equal(1, a:ask("last_version", { stream = "s" }))
    a:close()
    b:close()
  end)

  it("waits in the caller's thread where nobody listens", function()
    local host = rpc.host()
    local token = host:ask("lock", { name = "l" }).token
    assert.equal("busy", host:refused("lock", { name = "l" }).error)
    local other = connection.open(host.path)
    local answer = other:refused("lock", { name = "l", timeout_ms = 20 })
    assert.equal(token, answer.owner.token)
    assert.is_true(host:ask("unlock", { name = "l" }))
    other:ask("lock", { name = "l" })
    answer = host:refused("lock", { name = "l", timeout_ms = 50 })
    assert.equal("timeout", answer.error)
    assert.equal(other.pid, answer.owner.pid)
    other:close()
    host:ask("lock", { name = "l" })
    host:ask("unlock", { name = "l" })
    host:finish()
    a:close()
    b:close()
  end)
end)
