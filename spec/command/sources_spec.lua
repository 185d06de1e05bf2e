--- `tycho import --from dpkg` and `--from git`.
local command = require "support.command"

describe("tycho import --from dpkg", function()
  local tycho

  before_each(function() tycho = command.new() end)
  after_each(function() tycho:close() end)

  local old = [[
2024-05-06 07:08:09 startup archives unpack
2024-05-06 07:08:09 install libc6:amd64 <none> 2.36-8
2024-05-06 07:08:10 status half-installed libc6:amd64 2.36-8
2024-05-06 07:08:10 trigproc man-db:amd64 2.11 <none>
2024-05-06 07:08:10 trigproc man-db:amd64 2.11 <none>
2024-05-06 07:08:10 configure libc6:amd64 2.36-8 <none>
]]
  local new = [[
2024-06-06 07:08:09 upgrade libc6:amd64 2.36-8 2.36-9
2024-06-06 07:08:09 conffile /etc/ld.so.conf keep
2024-06-06 07:08:09 remove old:all 1.0 <none>
]]

  local function import(paths, env)
    local counts = tycho:objects("import --from dpkg " .. paths, { env = env or "TZ=UTC" })[1]
    return { counts.events, counts.existed }
  end

  it("makes an event of each line, in a stream of its package", function()
    assert.same({ 9, 0 }, import(tycho:file("dpkg.log", old .. new)))
    local events = tycho:objects("read")
    assert.same({ "RunStarted", "Dpkg", { command = "archives", arguments = "unpack" } },
      { events[1].event_type, events[1].stream, events[1].data })
    assert.same({
      "InstallStarted", "Package$libc6:amd64",
      { package = "libc6", architecture = "amd64", version = "2.36-8" },
    }, { events[2].event_type, events[2].stream, events[2].data })
    assert.same({ package = "libc6", architecture = "amd64", version = "2.36-8",
      status = "half-installed" }, events[3].data)
    assert.same({ package = "libc6", architecture = "amd64", version = "2.36-9",
      previous_version = "2.36-8" }, events[7].data)
    assert.same({ "ConffileDecided", "Conffile$/etc/ld.so.conf", { path = "/etc/ld.so.conf",
      decision = "keep" } }, { events[8].event_type, events[8].stream, events[8].data })
    assert.equal(1714979289000000, events[1].timestamp)
  end)

  it("knows its events again in rotated, compressed and grown logs, and in another zone", function()
    local log = tycho:file("dpkg.log", old)
    assert.same({ 6, 0 }, import(log))
    tycho:shell("gzip $dir/dpkg.log && mv $dir/dpkg.log.gz $dir/dpkg.log.1.gz")
    tycho:file("dpkg.log", new)
    assert.same({ 3, 6 }, import(tycho.directory .. "/dpkg.log*"))
    assert.same({ 0, 9 }, import(tycho.directory .. "/dpkg.log*", "TZ=America/New_York"))
    assert.equal(2, #tycho:objects("read 'Package$man-db:amd64'"))
  end)

  it("reads older logs first, whatever the order of their names", function()
    tycho:file("dpkg.log", new)
    tycho:file("dpkg.log.1", old)
    import(tycho.directory .. "/dpkg.log " .. tycho.directory .. "/dpkg.log.1")
    assert.equal("RunStarted", tycho:objects("read")[1].event_type)
  end)

  it("says which line it does not understand", function()
    local path = tycho:file("dpkg.log", old .. "hello there\n" .. new
      .. "2024-06-06 07:08:09 dance libc6:amd64\n2024-06-06 07:08:09 status\n")
    local result = tycho:run("import --from dpkg " .. path)
    assert.equal(1, result.status)
    assert(result.err:find("dpkg.log:7: ", 1, true), result.err)
    result = tycho:run("import --from dpkg --on-error skip --json " .. path)
    assert.equal(3, command.decode(result.out)[1].refused)
    assert(result.err:find('dpkg.log:11: the line is not understood: "dance"', 1, true), result.err)
    assert.equal(9, #tycho:objects("read"))
  end)
end)

describe("tycho import --from git", function()
  if not command.has("git") then
    pending("needs git")
    return
  end

  local tycho

  before_each(function()
    tycho = command.new()
    tycho:shell([[
      export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
      export GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=ada@example.org GIT_AUTHOR_DATE='1000000000 +0200'
      export GIT_COMMITTER_NAME=Bob GIT_COMMITTER_EMAIL=bob@example.org
      export GIT_COMMITTER_DATE='1100000000 +0000'
      git init -q -b main "$dir/a repo" && cd "$dir/a repo"
      git commit -q --allow-empty -m 'Begin'
      mkdir sub; echo 1 > sub/one; echo 2 > two
      printf x > "$(printf 'odd\nna\377me')"
      git add -A; git commit -q -m "$(printf 'Add files\n\nWith a body.')"
      git checkout -q -b side; echo 3 > three; git add -A; git commit -q -m 'On the side'
      git checkout -q main; echo 4 > two; git rm -q sub/one; git add -A; git commit -q -m 'Change'
      git merge -q -m 'Merge' side
    ]])
  end)
  after_each(function()
    if io.open(tycho.store) then tycho:must("verify") end
    tycho:close()
  end)

  local function import(directory)
    local counts = tycho:objects("import --from git "
      .. command.quote(tycho:path(directory or "a repo")))[1]
    return { counts.events, counts.existed, counts.links }
  end

  it("makes an event of each commit, linked into a stream of each file", function()
    assert.same({ 5, 0, 6 }, import())
    local events = tycho:objects("read 'Repository$a repo'")
    assert.equal(5, #events)
    local second = events[2]
    assert.same({
      subject = "Add files", body = "With a body.",
      author = { name = "Ada", email = "ada@example.org" }, parents = { events[1].event_id },
      files = {
        { path = { base64 = "b2RkCm5h/21l" }, change = "added" },
        { path = "sub/one", change = "added" },
        { path = "two", change = "added" },
      },
    }, second.data)
    assert.same({ 1100000000000000, 1000000000000000 }, { second.timestamp, second.valid_at })
    assert.same({ "Repository$a repo", "File$a repo/odd%0Ana%FFme", "File$a repo/sub/one",
      "File$a repo/two" }, tycho:objects("event " .. second.event_id)[1].streams)
    local of_file = tycho:objects("read 'File$a repo/two'")
    assert.same({ "Add files", "Change" }, { of_file[1].data.subject, of_file[2].data.subject })
    assert.equal(2, #events[5].data.parents)
    assert.same({}, events[5].data.files)
  end)

  it("takes only new commits when it is run again", function()
    import()
    assert.same({ 0, 5, 0 }, import())
    tycho:shell([[
      cd "$dir/a repo" && echo 5 > two && git -c user.name=A -c user.email=e commit -qam 'More'
    ]])
    assert.same({ 1, 5, 1 }, import())
  end)

  it("links a commit that touches more files than fit a batch, also when it was stopped", function()
    tycho:shell([[
      cd "$dir/a repo" && seq -f 'many/%g' 12000 > list && mkdir many && xargs touch < list
      git add -A && git -c user.name=A -c user.email=e commit -qm 'Many'
    ]])
    assert.same({ 6, 0, 6 + 12001 }, import())
    tycho:must("unlink 'File$a repo/many/7' "
      .. tycho:objects("read 'File$a repo/many/7'")[1].event_id)
    assert.same({ 0, 6, 1 }, import())
  end)

  it("says when there is no repository, or nothing in it", function()
    local result = tycho:run("import --from git " .. tycho.directory)
    assert.equal(4, result.status, result.err)
    assert(result.err:find("not a git repository", 1, true), result.err)
    tycho:shell("git init -q $dir/empty")
    assert.same({ 0, 0, 0 }, import("empty"))
  end)
end)
