--- Runs the program `tycho` as people do: in a process of its own, with files of its own.
---
---   local tycho = command.new()          -- a directory, removed by tycho:close()
---   local result = tycho:run("read orders --json", { stdin = text, env = "NO_COLOR=1" })
---   result.status, result.out, result.err
---
--- $TYCHO_COMMAND names another program to be tested; default: ./tycho.
local dkjson = require "dkjson"

local command = {}
command.program = os.getenv("TYCHO_COMMAND") or "./tycho"

---@class spec.Command
---@field directory string
---@field store string      path of the store that is used unless a command names one
local Command = {}
Command.__index = Command

local function quote(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end
command.quote = quote

local function read_all(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

function command.new()
  local pipe <close> = assert(io.popen("mktemp -d"))
  local directory = pipe:read("l")
  return setmetatable({ directory = directory, store = directory .. "/store" }, Command)
end

function Command:close()
  os.execute("rm -rf " .. quote(self.directory))
end

--- Path of a file in the directory.
function Command:path(name)
  return self.directory .. "/" .. name
end

--- Writes a file; gives its path.
function Command:file(name, content)
  local path = self:path(name)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(content))
  return path
end

--- Runs words of a shell's command line behind the program.
---@param words string
---@param options? { stdin?: string, env?: string, store?: string|false }
function Command:run(words, options)
  options = options or {}
  local store = options.store
  if store == nil then store = self.store end
  local stdin = options.stdin and self:file("stdin", options.stdin) or "/dev/null"
  local line = ("%s %s %s %s <%s >%s 2>%s"):format(
    store and "TYCHO_STORE=" .. quote(store) or "env -u TYCHO_STORE", options.env or "",
    command.program, words, quote(stdin), quote(self:path("out")), quote(self:path("err")))
  local _, how, code = os.execute(line)
  return {
    status = how == "exit" and code or 128 + code,
    out = read_all(self:path("out")),
    err = read_all(self:path("err")),
  }
end

--- As run, for what must succeed: its standard output.
function Command:must(words, options)
  local result = self:run(words, options)
  if result.status ~= 0 then
    error(("tycho %s: %d\n%s%s"):format(words, result.status, result.out, result.err), 2)
  end
  return result.out
end

--- The objects that it prints with --json, one a line.
function Command:objects(words, options)
  return command.decode(self:must("--json " .. words, options))
end

--- Runs a script of sh with $tycho and $TYCHO_STORE: its standard output, and the exit code.
function Command:shell(script)
  local path = self:file("script", script)
  local _, _, code = os.execute(("TYCHO_STORE=%s tycho=%s dir=%s bash %s >%s 2>&1"):format(
    quote(self.store), quote(command.program), quote(self.directory), quote(path),
    quote(self:path("out"))))
  return read_all(self:path("out")), code
end

function command.decode(text)
  local objects = {}
  for line in text:gmatch("[^\n]+") do
    local object, _, message = dkjson.decode(line, 1, dkjson.null)
    objects[#objects + 1] = object or error(("%s: %s"):format(message, line), 2)
  end
  return objects
end

command.encode = dkjson.encode
command.null = dkjson.null

--- Whether a program is installed.
function command.has(program)
  return os.execute("command -v " .. quote(program) .. " >/dev/null 2>&1") == true
end

return command
