--- `tycho lock` and `tycho locks`.
local command = require "support.command"

describe("tycho lock", function()
  local tycho

  before_each(function()
    tycho = command.new()
    tycho:must("publish s T")
  end)
  after_each(function() tycho:close() end)

  it("runs a command, gives its output and its exit code", function()
    assert.equal("one  two\n", tycho:must("lock a -- echo 'one  two'"))
    assert.equal(7, tycho:run("lock a -- sh -c 'exit 7'").status)
    assert.equal("in\n", tycho:must("lock a cat", { stdin = "in\n" }))
    assert.equal(127, tycho:run("lock a -- no-such-command-at-all").status)
    assert.equal(128 + 15, tycho:run("lock a -- sh -c 'kill -TERM $$'").status)
  end)

  it("tells it the token, which rises", function()
    local first = tonumber(tycho:must("lock a -- sh -c 'echo $TYCHO_LOCK_TOKEN'"))
    local second = tonumber(tycho:must("lock b -- sh -c 'echo $TYCHO_LOCK_TOKEN'"))
    assert.is_true(first >= 1 and second > first)
  end)

  it("keeps words as they are, whatever the shell would make of them", function()
    local words = [['$HOME' '*' 'a'\''b' '; exit 3' '' -x --timeout]]
    assert.equal("$HOME\n*\na'b\n; exit 3\n\n-x\n--timeout\n",
      tycho:must("lock a -- printf '%s\\n' " .. words))
  end)

  it("holds the lock meanwhile, and not longer", function()
    local out, code = tycho:shell([[
      inside='$0 locks --json; $0 lock a --timeout 0.05 -- echo wrong; echo $?'
      $tycho lock a -- sh -c "$inside" $tycho
      $tycho locks
      $tycho lock a --timeout 0 -- echo free]])
    assert.equal(0, code)
    local info = command.decode(out:match("^[^\n]*"))[1]
    assert.equal("a", info.name)
    assert.same({ "number", "number", 0 }, { type(info.token), type(info.pid), info.waiters })
    local refusal = '\ntycho: waited 50 ms for the lock "a", which process ' .. info.pid
    assert.matches(refusal, out, 1, true)
    assert.matches("\nwait longer with --timeout, or see: tycho locks\n75\nfree\n", out, 1, true)
  end)

  it("waits for who has it", function()
    local out = tycho:shell([[
      mkfifo $dir/go
      $tycho lock a -- sh -c 'echo first; cat $0' $dir/go &
      until $tycho locks | grep -q a; do :; done
      $tycho lock a -- echo second &
      until $tycho locks --json | grep -q '"waiters":1'; do :; done
      echo third >$dir/go
      wait]])
    assert.equal("first\nthird\nsecond\n", out)
  end)

  it("is free when its holder was killed", function()
    local out = tycho:shell([[
      $tycho lock a -- sh -c 'echo $$ >$0/sleeper; exec sleep 60' $dir &
      until [ -s $dir/sleeper ]; do :; done
      kill -9 $($tycho locks | cut -f 3)
      $tycho lock a -- echo free
      kill $(cat $dir/sleeper)
      wait 2>/dev/null]])
    assert.matches("free\n", out, 1, true)
    assert.equal("", tycho:must("locks"))
  end)

  it("shows who holds what", function()
    local out = tycho:must("lock a -- " .. command.program .. " locks")
    assert.matches("^%d+\t%d+%-%d%d%-%d%dT[%d:.]+Z\t%d+\t%S+\t0\ta\n$", out)
  end)

  it("refuses wrong words", function()
    for _, words in ipairs {
      "lock", "lock a", "lock a --timeout x -- true", "lock a --timeout=-1 -- true",
    } do
      local result = tycho:run(words)
      assert.equal(2, result.status, words)
      assert.matches("^tycho: [^\n]+\n[^\n]+\n$", result.err)
    end
  end)
end)
