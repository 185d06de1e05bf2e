--- What holds for every verb: exit codes, errors of two lines, help, completion, terminals, pipes.
local command = require "support.command"

local verbs = {
  "import", "export", "publish", "read", "event", "streams", "types", "link", "unlink", "delete",
  "route", "rename", "merge", "split", "lock", "locks", "verify",
  "salvage", "backup", "compress", "stats", "repl", "rpc",
  "completion", "help",
}

describe("tycho", function()
  local tycho

  before_each(function() tycho = command.new() end)
  after_each(function() tycho:close() end)

  local function refuses(words, status, what, todo, options)
    local result = tycho:run(words, options)
    assert.equal(status, result.status, result.err)
    assert.equal("", result.out)
    local first, second, rest = result.err:match("^([^\n]*)\n([^\n]*)\n(.*)$")
    assert(first, "two lines expected: " .. result.err)
    assert.equal("", rest)
    assert(first:find("^tycho: ") and first:find(what, 1, true), first)
    assert(second:find(todo, 1, true), second)
  end

  it("says what is wrong with its usage, what to do, and ends with 2", function()
    refuses("", 2, "no verb is given", "tycho help")
    refuses("raed", 2, "unknown command 'raed'", "Did you mean 'read'?")
    refuses("read --limt 3", 2, "unknown option '--limt'", "Did you mean '--limit'?")
    refuses("read --limit x", 2, '"x" is not a whole number', "tycho help read")
    refuses("read --limit %d%s%n", 2, '"%d%s%n" is not a whole number', "tycho help read")
    refuses("read --since tomorrow", 2, '"tomorrow" is not a time', "tycho help read")
    refuses("read --as-at --as-of", 2, "can not be used together", "tycho help read")
    refuses("publish", 2, "missing argument", "tycho help publish")
    refuses("publish a B '{'", 2, "not JSON", "quote it")
    refuses("publish a B --expected-version yes", 2, '"yes" is not any', "tycho help publish")
    refuses("import --batch 0", 2, "from 1 to 10000", "tycho help import")
    refuses("import --from xml", 2, "ndjson", "tycho help import")
    refuses("help nothing", 2, '"nothing"', "tycho help")
  end)

  it("ends with 2 when no store is named", function()
    refuses("read", 2, "no store is named", "--store PATH", { store = false })
    refuses("read", 2, "no store is named", "TYCHO_STORE", { store = "" })
  end)

  it("ends with 4 for verbs that read when there is no store, and makes none", function()
    for _, words in ipairs {
      "read", "event x", "streams", "types", "export", "verify", "stats",
      "route list", "locks", "lock a -- true", "link s x", "unlink s x", "delete s",
      "backup " .. tycho:path("copy"),
    } do
      refuses(words, 4, "there is no store at " .. tycho.store, "--store")
    end
    assert.is_nil(io.open(tycho.store))
    assert.is_nil(io.open(tycho:path("copy")))
  end)

  it("takes the store from the option before the environment", function()
    tycho:must("publish a Made", { store = tycho:path("one") })
    tycho:must(("-s %s publish b Made"):format(tycho:path("two")), { store = tycho:path("one") })
    local objects = tycho:objects("streams --store " .. tycho:path("two"))
    assert.equal("b", objects[1].stream)
    assert.equal(1, #objects)
  end)

  it("gives help for every verb, and says its version", function()
    local all = tycho:must("help")
    for _, verb in ipairs(verbs) do
      assert(all:find("\n   " .. verb .. " "), verb)
      local help = tycho:must("help " .. verb)
      assert.equal(help, tycho:must(verb .. " --help"))
      assert(help:find("^Usage: tycho " .. verb), help)
    end
    assert(tycho:must("--version"):find("^tycho %d+%.%d+%.%d+\n$"))
  end)

  it("writes completion scripts that the shells take", function()
    for _, shell in ipairs { "bash", "zsh", "fish" } do
      local script = tycho:must("completion " .. shell)
      assert(script:find("streams", 1, true) and script:find("follow", 1, true))
      if command.has(shell) then
        local path = tycho:file("completion", script)
        assert.is_true(os.execute(("%s -n %s"):format(shell, command.quote(path))))
      end
    end
    local path = tycho:file("completion", tycho:must("completion bash"))
    local found = tycho:shell(([[
      . %s
      COMP_WORDS=(tycho st) COMP_CWORD=1
      _tycho
      echo "${COMPREPLY[*]}"
    ]]):format(command.quote(path)))
    assert.equal("streams stats\n", found)
  end)

  it("ends quietly when nobody reads on", function()
    local lines = {}
    for i = 1, 5000 do lines[i] = ('{"stream":"s","type":"T","data":{"number":%d}}'):format(i) end
    tycho:must("import", { stdin = table.concat(lines, "\n") .. "\n" })
    assert.equal("1\n", (tycho:shell("$tycho read | head -n 1 | cut -f 1")))
    assert.equal("1\n", (tycho:shell("(trap '' PIPE; $tycho export | head -n 1 | wc -l)")))
  end)

  it("fails when its output cannot be written", function()
    tycho:must("publish s T")
    local out, code = tycho:shell("$tycho read > /dev/full")
    assert.equal(1, code)
    assert(out:find("^tycho: standard output cannot be written: No space left on device\n"), out)
  end)
end)

describe("tycho on a terminal", function()
  local tycho

  before_each(function()
    tycho = command.new()
    tycho:must([[publish order-1 Paid '{"cents": 500, "note": "a long text that is cut"}']]
      .. " --time 2024-02-03T04:05:06.789Z")
  end)
  after_each(function() tycho:close() end)

  local function on_terminal(words, env)
    local inner = ("stty cols 72; TZ=UTC-2 %s %s %s"):format(env or "", command.program, words)
    return (tycho:shell(("script -qec %s /dev/null </dev/null")
      :format(command.quote(inner))):gsub("\r\n", "\n"))
  end

  if not command.has("script") then
    pending("needs the program script, of bsdutils")
    return
  end

  it("aligns columns, cuts to the width, and gives local times", function()
    local head, row = on_terminal("read order-1", "NO_COLOR=1"):match("^([^\n]*)\n([^\n]*)\n$")
    assert.equal("position  timestamp                revision  event_type  data", head)
    assert.equal('       1  2024-02-03 06:05:06.789         0  Paid        {"cents":500,"…', row)
  end)

  it("uses colour unless told not to", function()
    assert(on_terminal("read", "TERM=xterm"):find("\27[1mposition", 1, true))
    assert.is_nil(on_terminal("read", "TERM=xterm NO_COLOR=1"):find("\27", 1, true))
    assert.is_nil(on_terminal("read", "TERM=dumb"):find("\27", 1, true))
    assert.is_nil(on_terminal("read --json", "TERM=xterm"):find("\27", 1, true))
  end)

  it("separates columns by tabs elsewhere, with times in UTC and nothing cut", function()
    assert.equal("1\t2024-02-03T04:05:06.789Z\t0\tPaid\t"
      .. '{"cents":500,"note":"a long text that is cut"}\n', tycho:must("read order-1"))
  end)
end)
