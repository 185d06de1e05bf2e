--- The host protocol itself: requests that are not, ids, JSON and MessagePack, lines through a
--- process, several processes on one store.

local dispatcher = require "tycho.rpc"
local rpc = require "support.rpc"
local scratch = require "support.scratch"
local tycho = require "tycho"
local null = tycho.null

describe("The host protocol", function()
  it("answers ping without a store, and refuses the rest", function()
    assert.equal('{"id":1,"ok":true,"result":"pong"}', dispatcher.dispatch '{"id":1,"op":"ping"}')
    assert.equal('{"id":null,"ok":true,"result":"pong"}', dispatcher.dispatch '{"op":"ping"}')
    for _, op in ipairs { "append", "read", "has_event", "batch", "stats", "wait" } do
      local answer = tycho.json.decode(dispatcher.dispatch(('{"op":"%s"}'):format(op)))
      assert.equal("invalid_argument", answer.error)
      assert.truthy(answer.message:find("open a store first", 1, true))
    end
  end)

  it("echoes any id, also in errors", function()
    for _, id in ipairs { "1", "-9223372036854775808", "9007199254740993", "1.0", "0.1", "1.5e+300",
      '"a\\"b"', '"\195\169"', "null", "true", "[1,[2.0,{}]]", '{"b":1,"a":[]}', '"\\u0000"',
      ("["):rep(2000) .. ("]"):rep(2000) } do
      assert.equal(('{"id":%s,"ok":true,"result":"pong"}'):format(id),
        dispatcher.dispatch(('{"op":"ping","id":%s}'):format(id)))
      local refused = dispatcher.dispatch(('{"id":%s,"op":"nobody"}'):format(id))
      local start = ('{"id":%s,"ok":false,"error":"invalid_argument"'):format(id)
      assert.equal(start, refused:sub(1, #start))
    end
  end)

  it("names the op that it does not know, and those that it does", function()
    local answer = tycho.json.decode(dispatcher.dispatch '{"id":1,"op":"no_such_op"}')
    assert.equal("invalid_argument", answer.error)
    assert.truthy(answer.message:find('"no_such_op"', 1, true))
    assert.truthy(answer.message:find("append", 1, true))
  end)

  it("answers malformed JSON with the offset, and goes on", function()
    for _, text in ipairs { "", "{", "}", '{"op":', '{"op":"ping"', '{"op":"ping"}x',
      '{"op" "ping"}', "[1,]", '{"a":01}', '{"a":NaN}', '{"a":"\xff"}', '{"a":"\\ud800"}', "nul",
      "\0", '{"a":\1}', ("["):rep(100000), '{"a":"\n"}', "'a'", '{"id":1,"op":"ping",}' } do
      local answer = tycho.json.decode(dispatcher.dispatch(text))
      assert.equal(null, answer.id)
      assert.is_false(answer.ok)
      assert.equal("invalid_argument", answer.error)
      assert.equal("integer", math.type(answer.offset))
      assert.is_true(answer.offset >= 0 and answer.offset <= #text)
    end
    for _, text in ipairs { "5", "null", '"ping"', "[]", "[{}]" } do
      local answer = tycho.json.decode(dispatcher.dispatch(text))
      assert.equal("invalid_argument", answer.error)
      assert.is_nil(answer.offset)
    end
    assert.equal('{"id":2,"ok":true,"result":"pong"}', dispatcher.dispatch '{"id":2,"op":"ping"}')
  end)

  it("echoes the id of JSON beyond its limits", function()
    for _, field in ipairs { '"a":9223372036854775808', '"a":-9223372036854775809',
      '"op":"ping","op":"ping"', '"\\u0000":1' } do
      for _, id in ipairs { "7", '"x"', '{"a":[1]}' } do
        local answer = dispatcher.dispatch(('{"id" : %s,%s}'):format(id, field))
        local start = ('{"id":%s,"ok":false,"error":"invalid_argument"'):format(id)
        assert.equal(start, answer:sub(1, #start))
      end
    end
  end)

  it("refuses unknown fields by name", function()
    for _, case in ipairs { { '{"op":"ping","extra":1}', "extra" },
      { '{"op":"open","path":"/x","pth":1}', "pth" } } do
      local answer = tycho.json.decode(dispatcher.dispatch(case[1]))
      assert.equal("invalid_argument", answer.error)
      assert.truthy(answer.message:find('"' .. case[2] .. '"', 1, true))
    end
  end)

  it("opens, reopens and closes", function()
    local host = rpc.host()
    host:ask("append", { records = { { event_type = "t" } } })
    assert.is_true(host:ask("open", { path = host.path }))
    assert.equal(1, host:ask("head"))
    for _, fields in ipairs { {}, { path = "" }, { path = 5 }, { path = host.path, mode = "x" },
      { path = host.path .. "\0", } } do
      assert.equal("invalid_argument", host:refused("open", fields).error)
    end
    assert.equal("not_found",
      host:refused("open", { path = host.path .. "-none", mode = "existing" }).error)
    assert.equal(1, host:ask("head"))
    assert.is_true(host:ask("close"))
    assert.is_false(host:ask("close"))
    assert.equal("invalid_argument", host:refused("head").error)
    host:ask("open", { path = host.path })
    host:finish()
  end)

  describe("keeps data", function()
    local host
    before_each(function() host = rpc.host() end)
    after_each(function() host:finish() end)

    --- The JSON text of data (or the field given) after it was appended and read.
    local function round_trip(text, field, more)
      local request = '{"op":"append","records":[{"event_type":"t","%s":%s%s}]}'
      local answer = dispatcher.dispatch(request:format(field or "data", text, more or ""))
      assert.truthy(answer:find('"ok":true', 1, true), answer)
      answer = dispatcher.dispatch '{"op":"last_stream_event"}'
      return answer:match(field == "metadata" and '"metadata":(.*),"timestamp"'
        or '"data":(.*),"metadata"')
    end

    it("of every kind", function()
      for _, text in ipairs { "null", "true", "false", "0", "-1", "9223372036854775807",
        "-9223372036854775808", "9007199254740993", "4294967296", "1.0", "-0.5", "1.5e+300", "0.1",
        '""', '"text"', '"\\u0000\\u001f\\"\\\\\\n"', '"\195\169\240\159\154\128"', "[]", "{}",
        "[[],{}]",
        '{"a":{"b":[1,2.0,null,"x"]}}', '{"base64":5}', '{"a":1,"base64":"eA=="}',
        '{"base64":"AAEC/w=="}', '{"base64":""}', '{"a":{"base64":"AAEC/w=="}}',
        '[{"base64":"/+8="}]',
        ("["):rep(128) .. ("]"):rep(128) } do
        assert.equal(text, round_trip(text))
      end
      assert.equal('{"":1,"A":2,"a":3,"aa":4,"\195\169":5}',
        round_trip '{"aa":4,"\195\169":5,"a":3,"":1,"A":2}')
      assert.equal('"\195\169/"', round_trip '"\\u00e9\\/"')
      assert.equal("1000.0", round_trip "1e3")
      for _, text in ipairs { "{}", '{"a":{"b":[1,2.5,null]}}', '{"a":{"base64":"AA=="}}' } do
        assert.equal(text, round_trip(text, "metadata"))
      end
      assert.equal("{}", round_trip("null", "metadata"))
    end)

    it("of any length", function()
      for _, size in ipairs { 31, 32, 255, 256, 65535, 65536, 1 << 20 } do
        local text = ('"%s"'):format(("x"):rep(size))
        assert.equal(text, round_trip(text))
        text = ('[%s1]'):format(("1,"):rep(size - 1))
        assert.equal(text, round_trip(text))
      end
    end)

    it("with its content type", function()
      assert.equal('{"base64":"eA=="},"content_type":"text/plain"',
        round_trip('{"base64":"eA=="}', nil, ',"content_type":"text/plain"'))
      assert.equal('{"base64":"eA=="}',
        round_trip('{"base64":"eA=="}', nil, ',"content_type":"application/octet-stream"'))
      -- 0x2a is MessagePack for 42; 0x81 0x01 0x02 a map with an integer as key, 0xcb.. a NaN.
      local as_msgpack = ',"content_type":"application/msgpack"'
      assert.equal("42", round_trip('{"base64":"Kg=="}', nil, as_msgpack))
      for _, bytes in ipairs { "gQEC", "y3/4AAAAAAAA", "z///////////", "1AUA", "ocM=",
        "gaZiYXNlNjSheA==" } do
        local text = ('{"base64":"%s"}'):format(bytes)
        assert.equal(text .. as_msgpack, round_trip(text, nil, as_msgpack))
      end
      for _, bytes in ipairs { "", "wQ==", "kQ==", "KgE=" } do
        local answer = dispatcher.dispatch(
          ('{"op":"append","records":[{"event_type":"t","data":{"base64":"%s"}%s}]}')
          :format(bytes, as_msgpack))
        assert.truthy(answer:find('"error":"invalid_argument"', 1, true))
      end
    end)

    it("unless it is nested too deeply or too large", function()
      local deep = ("["):rep(129) .. ("]"):rep(129)
      local answer = dispatcher.dispatch(
        ('{"op":"append","records":[{"event_type":"t","data":%s}]}'):format(deep))
      assert.truthy(answer:find("nested too deeply", 1, true))
      local large = ('{"op":"append","records":[{"event_type":"t","data":"%s"}]}')
        :format(("x"):rep((16 << 20) + 1))
      assert.truthy(dispatcher.dispatch(large):find('"error":"too_large"', 1, true))
      local many = ('{"op":"append","records":[%s]}')
        :format(('{"event_type":"t"},'):rep(10000) .. '{"event_type":"t"}')
      assert.truthy(dispatcher.dispatch(many):find('"error":"too_large"', 1, true))
      assert.equal(0, host:ask("head"))
    end)

    it("and ids that are no text", function()
      local id = tycho.binary "\xff\x00\xfe"
      host:ask("append", { stream = "a", records = { { event_id = id, event_type = "t" } } })
      assert.equal("\xff\x00\xfe", host:ask("last_stream_event").event_id.bytes)
      assert.is_true(host:ask("has_event", { event_id = id }))
      host:ask("link", { stream = "b", event_ids = { id } })
      local answer = host:refused("link", { stream = "b", event_ids = { id } })
      assert.equal("event_duplicated_in_stream", answer.error)
      assert.equal("\xff\x00\xfe", answer.event_id.bytes)
    end)
  end)

  describe("through a process", function()
    local path, directory
    before_each(function() path, directory = scratch.path() end)
    after_each(function() scratch.remove(directory) end)

    it("answers line by line, the last one without a line break too", function()
      local input = table.concat({ '{"id":1,"op":"ping"}', "", "  \t\r", "nonsense",
        '{"id":2,"op":"append","stream":"a","records":[{"event_id":"e1","event_type":"t"}]}\r',
        '{"id":3,"op":"head"}' }, "\n")
      local answers = rpc.answers(rpc.run({ input }, path)[1])
      assert.equal(4, #answers)
      assert.equal("pong", answers[1].result)
      assert.equal("invalid_argument", answers[2].error)
      assert.same({ 1 }, answers[3].result.positions)
      assert.equal(1, answers[4].result)
    end)

    it("skips a line that is too long, and goes on", function()
      local input = directory .. "/input"
      local file <close> = assert(io.open(input, "wb"))
      file:write('{"id":1,"op":"ping"}\n')
      for _ = 1, 65 do file:write(("x"):rep(1 << 20)) end
      file:write('\n{"id":2,"op":"ping"}\n')
      for _ = 1, 65 do file:write(("y"):rep(1 << 20)) end
      file:flush()
      local pipe <close> = assert(io.popen(rpc.command() .. " <" .. input))
      local answers = rpc.answers(pipe:read("a"))
      assert.equal(4, #answers)
      assert.equal("too_large", answers[2].error)
      assert.equal(null, answers[2].id)
      assert.equal(2, answers[3].id)
      assert.equal("too_large", answers[4].error)
    end)

    it("says what is wrong with its store", function()
      assert.is_nil(os.execute(rpc.command("/dev/null/store") .. " </dev/null 2>/dev/null"))
    end)

    it("shares a store with others: nothing lost, nothing twice, versions exact", function()
      local inputs = {}
      for process = 1, 4 do
        local lines = {}
        for index = 1, 50 do
          lines[#lines + 1] = ('{"op":"append","stream":"own-%d","expected_version":%d,'
            .. '"records":[{"event_id":"p%d-%d","event_type":"t"}]}')
            :format(process, index - 2, process, index)
          lines[#lines + 1] = ('{"op":"append","stream":"shared","expected_version":"auto",'
            .. '"records":[{"event_id":"s%d-%d","event_type":"t"}]}'):format(process, index)
          lines[#lines + 1] = ('{"op":"append","stream":"race-%d","expected_version":"none",'
            .. '"records":[{"event_type":"t"}]}'):format(index)
          lines[#lines + 1] = ('{"op":"append","stream":"same",'
            .. '"records":[{"event_id":"same-%d","event_type":"t"}]}'):format(index)
        end
        inputs[process] = table.concat(lines, "\n") .. "\n"
      end
      local won = { race = 0, same = 0 }
      for _, output in ipairs(rpc.run(inputs, path)) do
        local answers = rpc.answers(output)
        assert.equal(200, #answers)
        for index, answer in ipairs(answers) do
          local kind = index % 4
          if kind == 1 or kind == 2 then
            assert.is_true(answer.ok)
          elseif answer.ok then
            local name = kind == 3 and "race" or "same"
            won[name] = won[name] + 1
          else
            assert.equal(kind == 3 and "wrong_expected_version" or "duplicate_event", answer.error)
          end
        end
      end
      assert.same({ race = 50, same = 50 }, won)
      local store <close> = tycho.open(path)
      assert.equal(4 * 100 + 100, store:head())
      assert.equal(199, store:stream_version("shared"))
      for index, event in ipairs(store:read():stream("shared"):all()) do
        assert.equal(index - 1, event.revision)
      end
      assert.same({}, store:verify().findings)
    end)
  end)
end)
