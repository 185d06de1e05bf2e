--- Checks of the source that a program can make: sizes, prologues, layers, banned words and calls,
--- and that the library exports what the header declares. The limits are meant to be kept, not
--- raised; an exception is named here, with its reason.

local FILE_LINES, FUNCTION_LINES, COLUMNS, PARAMETERS = 600, 60, 100, 6

-- The layers of the engine, words, bytes, storage, model, verbs: a file includes its own and lower
-- ones. The headers of the commit group, of locks and of dictionaries are only words, so that the
-- environment can hold all three.
local LAYERS = {
  { "tycho.h", "base.h", "commit.h", "lock.h", "dictionary.h" },
  { "arena.h", "buffer.h", "text.h", "record.h", "step.h", "batch.h", "gate.h",
    "meta_page.h", "disk.h" },
  { "table.h", "pages.h", "inspect.h", "guard.h", "place.h", "env.h", "list.h", "generation.h",
    "recent.h", "pending.h", "watch.h", "lock_table.h" },
  { "query.h", "ways.h", "ids.h", "stream.h", "settle.h" },
  { "apply.h", "cursor.h", "store.h", "salvage.h", "verify.h" },
}
local WORDS_ONLY = { ["commit.h"] = true, ["lock.h"] = true, ["dictionary.h"] = true }
local STORAGE_SOURCES = { "env.c", "txn.c", "list.c", "list_edit.c", "list_memory.c", "entries.c",
  "lock_table.c" }

-- One public header is promised; most of it is prose.
local MORE_LINES = { ["engine/tycho.h"] = 800 }

-- The only files of the engine that may name LMDB.
local NAMES_LMDB = {
  ["engine/env.h"] = true, ["engine/env.c"] = true, ["engine/txn.c"] = true,
}

-- Seven facts make a range of one stream go into another; a struct would only hide them.
local MORE_PARAMETERS = { tycho_batch_link_range = 7 }

local BANNED = {
  "strcpy", "strcat", "strncpy", "strncat", "sprintf", "vsprintf", "gets", "strtok", "alloca",
  "system", "popen", "atoi", "atol",
  "setjmp", "longjmp", "rand", "srand", "localtime", "gmtime", "asctime", "ctime",
}

local function read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

local function files(command)
  local pipe <close> = assert(io.popen(command))
  local list = {}
  for path in pipe:lines() do list[#list + 1] = { path = path, text = read_file(path) } end
  return list
end

local function tree_files(...)
  local names = {}
  for _, extension in ipairs({ ... }) do names[#names + 1] = ("-name '*.%s'"):format(extension) end
  return files("find engine bindings scripts spec examples -type f \\( "
    .. table.concat(names, " -o ") .. " \\) | sort")
end

local c_files, lua_files = tree_files("c", "h"), tree_files("lua")
local all_files = table.move(lua_files, 1, #lua_files, #c_files + 1, { table.unpack(c_files) })

local function lines_of(text)
  return (text:gsub("\n$", "") .. "\n"):gmatch("(.-)\n")
end

--- The text with comments and the inside of literals blanked, lines kept.
local function bare(text)
  local function blank(part) return (part:gsub("[^\n]", " ")) end
  local out, at = {}, 1
  while at <= #text do
    local first = text:find("[\"'/]", at)
    if not first then break end
    local last
    local mark = text:sub(first, first)
    if text:sub(first, first + 1) == "/*" then
      last = select(2, text:find("*/", first + 2, true)) or #text
    elseif mark == "/" then
      last = nil
    else
      last = first + 1
      while text:sub(last, last) ~= mark and last < #text do
        last = last + (text:sub(last, last) == "\\" and 2 or 1)
      end
    end
    out[#out + 1] = text:sub(at, first - 1)
    out[#out + 1] = last and blank(text:sub(first, last)) or mark
    at = (last or first) + 1
  end
  out[#out + 1] = text:sub(at)
  return table.concat(out)
end

--- Calls visit(name, line, lines, head, body) for each function that a C file defines.
local function each_c_function(text, visit)
  local head, head_line, body, number = {}, 0, nil, 0
  for line in lines_of(bare(text)) do
    number = number + 1
    if body then
      if line:find("^}") then
        visit(body.name, head_line, number - head_line + 1, body.head, table.concat(body, "\n"))
        body, head = nil, {}
      else
        body[#body + 1] = line
      end
    else
      if #head == 0 then head_line = number end
      if not line:find("^#") and line:find("%S") then head[#head + 1] = line end
      local text_so_far = table.concat(head, "\n")
      if line:find("{%s*$") and text_so_far:find("%)%s*{%s*$") and not text_so_far:find("=") then
        body = { head = text_so_far, name = text_so_far:match("([%w_]+)%s*%b()%s*{%s*$") }
      elseif line:find("[;}]%s*$") or line:find("^#") or not line:find("%S") then
        head = {}
      end
    end
  end
end

local function complain(list)
  assert(#list == 0, "\n" .. table.concat(list, "\n"))
end

--- Runs check(file, complain) over files and fails with everything that was said.
local function check_each(list, check)
  local found = {}
  assert.is_true(#list > 0)
  for _, file in ipairs(list) do
    check(file, function(format, ...)
      found[#found + 1] = file.path .. ": " .. format:format(...)
    end)
  end
  complain(found)
end

local function within(list, folder)
  local chosen = {}
  for _, file in ipairs(list) do
    if file.path:find("^" .. folder) then chosen[#chosen + 1] = file end
  end
  return chosen
end

local function count_parameters(head)
  local list = head:match("(%b())%s*{%s*$"):sub(2, -2)
  if list:find("^%s*void%s*$") then return 0 end
  local _, commas = list:gsub("%b()", ""):gsub(",", "")
  return commas + 1
end

describe("every file", function()
  it("has at most 600 lines of at most 100 columns", function()
    check_each(all_files, function(file, say)
      local count = 0
      for line in lines_of(file.text) do
        count = count + 1
        local columns = utf8.len(line) or #line
        if columns > COLUMNS then say("line %d has %d columns", count, columns) end
      end
      if count > (MORE_LINES[file.path] or FILE_LINES) then say("%d lines", count) end
    end)
  end)

  it("has no tab, no space at an end of a line, and ends with one", function()
    check_each(all_files, function(file, say)
      if file.text:find("\t") then say("has a tab") end
      if file.text:find("[ \t\r]\n") then say("has a space at the end of a line") end
      if not file.text:find("[^\n]\n$") then say("does not end with one line feed") end
    end)
  end)

  it("begins by saying what it is", function()
    check_each(c_files, function(file, say)
      local name = file.path:match("([^/]+)$")
      if file.text:sub(1, #name + 3) ~= "/* " .. name then say("must begin with /* %s", name) end
    end)
    check_each(lua_files, function(file, say)
      if not file.text:gsub("^#![^\n]*\n", ""):find("^%-%-%-?[ @%[]") then
        say("must begin with a comment")
      end
    end)
  end)

  it("has nothing left to do", function()
    local words = { "TO" .. "DO", "FIX" .. "ME", "XX" .. "X", "HA" .. "CK" }
    check_each(all_files, function(file, say)
      for _, word in ipairs(words) do
        if file.text:find("%f[%w]" .. word .. "%f[%W]") then say("says %s", word) end
      end
    end)
  end)
end)

describe("C", function()
  it("names only files of this tree in its comments", function()
    local known = { ["cmocka.h"] = true }
    for _, file in ipairs(c_files) do known[file.path:match("[^/]+$")] = true end
    check_each(c_files, function(file, say)
      for comment in file.text:gmatch("/%*.-%*/") do
        for name in comment:gmatch("%f[%w_*][%w_*]+%.[ch]%f[^%w_]") do
          if not known[name] and not name:find("*", 1, true) then say("names %s", name) end
        end
      end
    end)
  end)

  it("has functions of at most 60 lines and 6 parameters, none of which calls itself", function()
    local functions = 0
    check_each(c_files, function(file, say)
      each_c_function(file.text, function(name, line, lines, head, body)
        functions = functions + 1
        if lines > FUNCTION_LINES then say("%d: %s has %d lines", line, name, lines) end
        local parameters = count_parameters(head)
        if parameters > (MORE_PARAMETERS[name] or PARAMETERS) then
          say("%d: %s has %d parameters", line, name, parameters)
        end
        if body:find("%f[%w_]" .. name .. "%s*%(") then say("%d: %s calls itself", line, name) end
      end)
    end)
    assert.is_true(functions > 20)
  end)

  it("assigns nothing inside the condition of an if", function()
    check_each(c_files, function(file, say)
      for condition in bare(file.text):gmatch("%f[%w_]if%s*(%b())") do
        if condition:find("[^=!<>]=[^=]") then say("if %s", condition:gsub("%s+", " ")) end
      end
    end)
  end)

  it("calls nothing that is banned", function()
    check_each(within(c_files, "[eb][ni][gn]"), function(file, say)
      local code = bare(file.text)
      for _, name in ipairs(BANNED) do
        if code:find("%f[%w_]" .. name .. "%s*%(") then say("calls %s", name) end
      end
      if code:find("//", 1, true) then say("has a // comment") end
    end)
  end)
end)

describe("Lua", function()
  it("has functions of at most 60 lines", function()
    check_each(lua_files, function(file, say)
      local start, indent, name, number = nil, nil, nil, 0
      for line in lines_of(file.text) do
        number = number + 1
        local space, rest = line:match("^(%s*)(.*)")
        local defined = rest:match("^local function ([%w_]+)") or rest:match("^function ([%w_.:]+)")
          or rest:match("^([%w_.]+) = function%(")
        if start and line:match("^" .. indent .. "end%f[%W]") then
          if number - start + 1 > FUNCTION_LINES then
            say("%d: %s has %d lines", start, name, number - start + 1)
          end
          start = nil
        elseif not start and defined and not rest:find("%f[%w]end%f[%W]%s*$") then
          start, indent, name = number, space, defined
        end
      end
    end)
  end)
end)

describe("the layers", function()
  it("keep Lua out of the engine", function()
    check_each(within(all_files, "engine/"), function(file, say)
      if file.text:find("%f[%a][Ll][Uu][Aa]%f[%A]") then say("says Lua") end
    end)
  end)

  it("let bindings know tycho.h alone", function()
    check_each(within(c_files, "bindings/"), function(file, say)
      if bare(file.text):find("[Mm][Dd][Bb]_") then say("names LMDB") end
      for included in file.text:gmatch('#include "([^"]+)"') do
        local name = included:match("([^/]+)$")
        if name ~= "tycho.h" and io.open("engine/" .. name) then say("includes %s", included) end
      end
    end)
  end)

  it("let the sandbox know neither scripts nor engine, and their host no binding", function()
    local folders = { ["bindings/lua/sandbox/"] = "", ["bindings/lua/host/"] = "../sandbox/" }
    for folder, below in pairs(folders) do
      check_each(within(c_files, folder), function(file, say)
        for included in file.text:gmatch('#include "([^"]+)"') do
          local is_own = io.open(folder .. included) or io.open(folder .. below .. included)
          if not is_own then say("includes %s", included) end
        end
      end)
    end
  end)

  it("let scripts know the Lua API alone", function()
    check_each(within(lua_files, "scripts/"), function(file, say)
      if file.path:find("^scripts/tycho/command/") and file.text:find("tycho%.core") then
        say("goes past require \"tycho\"")
      end
    end)
  end)

  it("of the engine look down only: words, bytes, storage, model, verbs", function()
    local layer_of = { ["status.c"] = 1 }
    for layer, names in ipairs(LAYERS) do
      for _, name in ipairs(names) do
        layer_of[name] = layer
        local source = name:gsub("h$", "c")
        layer_of[source] = layer_of[source] or (not WORDS_ONLY[name] and layer or nil)
      end
    end
    for _, name in ipairs(STORAGE_SOURCES) do layer_of[name] = 3 end
    check_each(within(c_files, "engine/"), function(file, say)
      local name = file.path:match("([^/]+)$")
      local layer = layer_of[name] or (name:find("%.c$") and #LAYERS)
      if not layer then say("is in no layer: name it in LAYERS") end
      for included in file.text:gmatch('#include "([^"]+)"') do
        if layer and not (layer_of[included] and layer_of[included] <= layer) then
          say("is in layer %d and includes %s", layer, included)
        end
      end
    end)
  end)

  it("name LMDB in the storage files of the engine alone", function()
    check_each(within(c_files, "engine/"), function(file, say)
      if bare(file.text):find("%f[%w_][Mm][Dd][Bb]_") and not NAMES_LMDB[file.path] then
        say("names LMDB and is not a storage file")
      end
    end)
  end)
end)

describe("tycho.h", function()
  local header = read_file("engine/tycho.h")

  local function declared()
    local names = {}
    for name in bare(header):gmatch("TYCHO_API[^;]-(tycho_[%w_]+)%s*%(") do
      names[#names + 1] = name
    end
    return names
  end

  local function exported(library)
    local pipe <close> = assert(io.popen("nm -D --defined-only " .. library))
    local names = {}
    for kind, name in pipe:read("a"):gmatch("%x+ (%a) ([%w_]+)") do
      if kind ~= "A" then names[#names + 1] = name end
    end
    return names
  end

  local function complain_of_missing(wanted, given, format, found)
    local set = {}
    for _, name in ipairs(given) do set[name] = true end
    for _, name in ipairs(wanted) do
      if not set[name] then found[#found + 1] = format:format(name) end
    end
  end

  it("declares exactly what the library exports", function()
    local public, found = declared(), {}
    local symbols = exported("build/libtycho.so")
    assert.is_true(#public > 40)
    complain_of_missing(public, symbols, "%s is declared, but not exported", found)
    complain_of_missing(symbols, public, "%s is exported, but not declared", found)
    complain(found)
  end)

  it("is not alone: the script host exports what its header declares, and no Lua", function()
    local header_text, found = bare(read_file("bindings/lua/host/tycho_scripts.h")), {}
    local symbols = exported("build/libtycho_scripts.so")
    assert.is_true(#symbols > 15)
    for _, name in ipairs(symbols) do
      if not header_text:find("%f[%w_]" .. name .. "%(") then
        found[#found + 1] = name .. " is exported, but not declared"
      end
    end
    local pipe <close> = assert(io.popen("nm -D build/libtycho_scripts.so"))
    for name in pipe:read("a"):gmatch("%f[%w_]luaL?_[%w_]+") do
      found[#found + 1] = name .. " goes in or out of the library"
    end
    complain(found)
  end)

  it("names each status in a contract", function()
    local map = header:match("#define TYCHO_STATUS_MAP.-\n\n")
    local contracts = header:gsub("#define TYCHO_STATUS_MAP.-\n\n", "")
    local found, count = {}, 0
    for name in map:gmatch("X%(([%u_]+), ") do
      count = count + 1
      if not contracts:find("%f[%w_]" .. name .. "%f[^%w_]") and
        not contracts:find("%f[%w_]TYCHO_" .. name .. "%f[^%w_]") then
        found[#found + 1] = name .. " is in no contract"
      end
    end
    assert.is_true(count > 10)
    complain(found)
  end)
end)
