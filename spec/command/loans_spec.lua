--- Real events through `tycho import`: the counts and folds of another program must come out.
local command = require "support.command"

local source, expectation = "../shared/data/loans.jsonl.gz", "../shared/data/loans.expected.json"

-- With ASan it would take minutes; spec/command/import_spec.lua goes the same ways there.
describe("the loans #slow", function()
  local file = io.open(expectation)
  if not file then
    print("# skipped: the real events of " .. source .. " are not here")
    pending("needs " .. source)
    return
  end
  local expected = command.decode((file:read("a"):gsub("\n", " ")))[1]
  file:close()

  local tycho = command.new()
  teardown(function() tycho:close() end)

  -- One pass over an export: what the expectation is about.
  local function fold()
    local types, streams, resources, links = {}, {}, {}, 0
    local endings = {
      A_APPROVED = true, A_DECLINED = true, A_CANCELLED = true, A_ACTIVATED = true,
      A_REGISTERED = true,
    }
    local pipe <close> = assert(io.popen(("TYCHO_STORE=%s %s export"):format(
      command.quote(tycho.store), command.program)))
    for line in pipe:lines() do
      local event = command.decode(line)[1]
      types[event.event_type] = (types[event.event_type] or 0) + 1
      local row = streams[event.stream] or { events = 0, offers = 0, status = "open", amount = 0 }
      streams[event.stream] = row
      row.events = row.events + 1
      row.amount = event.data.amount_req or row.amount
      if event.event_type == "O_CREATED" then row.offers = row.offers + 1 end
      if endings[event.event_type] then row.status = event.event_type end
      row.first = row.first or event.timestamp
      row.last = event.timestamp
      local resource = event.data.org_resource
      if resource then
        resources[resource] = (resources[resource] or 0) + 1
        links = links + 1
      end
    end
    return { types = types, streams = streams, resources = resources, links = links }
  end

  it("are imported, each once, in less than 100 MB of private memory", function()
    local out = tycho:shell(([[
      mkfifo $dir/pipe
      $tycho --json import - < $dir/pipe &
      exec 3> $dir/pipe
      gzip -dc %s >&3
      sed -n '/^RssAnon:/s/[^0-9]//gp' /proc/$!/status
      exec 3>&-
      wait
    ]]):format(source))
    local anonymous, object = out:match("^(%d+)\n({.*)$")
    local counts = command.decode(object)[1]
    assert.same({ expected.events, 0, 0 }, { counts.events, counts.existed, counts.refused })
    assert(tonumber(anonymous) < 100000, out)
  end)

  it("agree with what another program counted and folded", function()
    local found = fold()
    assert.same(expected.types, found.types)
    local count, statuses, amounts, total = 0, {}, {}, 0
    for _, row in pairs(found.streams) do
      count, total = count + 1, total + row.amount
      statuses[row.status] = (statuses[row.status] or 0) + 1
      amounts[row.status] = (amounts[row.status] or 0) + row.amount
    end
    assert.equal(expected.streams, count)
    assert.equal(expected.total_amount, total)
    assert.same(expected.status_counts, statuses)
    assert.same(expected.amount_by_status, amounts)
    assert.equal(expected.resource_links, found.links)
    for _, pair in ipairs(expected.top_resources) do
      assert.equal(pair[2], found.resources[pair[1]])
    end
    for stream, row in pairs(expected.sample_rows) do
      local mine = found.streams[stream]
      assert.same({ row.events, row.status, row.amount, row.offers },
        { mine.events, mine.status, mine.amount, mine.offers })
    end
    local longest = expected.longest_stream
    assert.equal(longest[2], found.streams[longest[1]].events)
  end)

  it("are sound, listed by the directories, and known again", function()
    tycho:must("verify")
    local stats = tycho:objects("stats")[1]
    assert.same({ expected.events, expected.streams }, { stats.events, stats.streams })
    local types = {}
    for _, object in ipairs(tycho:objects("types")) do types[object.event_type] = object.count end
    assert.same(expected.types, types)
    local counts = tycho:objects("import " .. source)[1]
    assert.same({ 0, expected.events }, { counts.events, counts.existed })
  end)
end)
