--- Events from the history of a git repository: one for each commit that HEAD reaches, parents
--- before children.
---
---   stream  Repository$NAME, and linked into File$NAME/PATH for each file that it touched
---   type    Committed         id    the hash of the commit
---   time    of the commit     valid_time    when the author made the change
---   data    {subject, body, author: {name, email}, parents: [hash], files: [{path, change}]}
---
--- `change` is added, modified, deleted or type_changed. A merge touches no files: its parents did.
local failure = require "tycho.command.failure"
local input = require "tycho.command.input"
local names = require "tycho.command.names"
local tycho = require "tycho"

local changes = { A = "added", M = "modified", D = "deleted", T = "type_changed" }

local format = "%x01%H%x00%P%x00%an%x00%ae%x00%at%x00%ct%x00%s%x00%b"

---@class tycho.command.GitSource
local GitSource = {}
GitSource.__index = GitSource

-- What git answers, or nil and what it complains of.
local function ask(directory, arguments)
  local command = ("LC_ALL=C exec git -C %s %s 2>&1"):format(input.quote(directory), arguments)
  local pipe = io.popen(command, "r")
  local answer = pipe:read("a"):gsub("\n$", "")
  if pipe:close() then return answer end
  return nil, failure.text(answer)
end

--- Opens the history of the repository in a directory. `name` is what its streams are called
--- after; default: the name of its directory.
local function new(directory, name)
  local place, message = ask(directory, "rev-parse --path-format=absolute --git-common-dir")
  if not place then
    failure.raise(message:find("not a git repository") and 4 or 1,
      ("git in %s: %s"):format(directory, message),
      "name the directory of a repository: tycho import --from git DIR")
  end
  name = name or place:gsub("/%.git$", ""):match("([^/]+)$"):gsub("%.git$", "")
  local self = setmetatable({
    directory = directory,
    name = name,
    stream = names.stream("Repository$" .. name),
    block = "", at = 1,
    total = 0, given = 0,
  }, GitSource)
  if not ask(directory, "rev-parse -q --verify HEAD") then return self end
  self.total = math.tointeger(tonumber((ask(directory, "rev-list --count HEAD --"))))
  self.pipe = io.popen(("exec git -C %s log -z --reverse --topo-order --no-renames --name-status "
    .. "--encoding=UTF-8 --no-color --no-show-signature --format=tformat:%s HEAD -- 2>/dev/null")
    :format(input.quote(directory), input.quote(format)), "r")
  return self
end

-- The next field of the log, which end with NUL; nil at the end.
function GitSource:field()
  local stop = self.block:find("\0", self.at, true)
  while not stop do
    local searched = #self.block - self.at + 2
    local more = self.pipe:read(math.max(65536, #self.block - self.at + 1))
    if not more then return nil end
    self.block, self.at = self.block:sub(self.at) .. more, 1
    stop = self.block:find("\0", searched, true)
  end
  local text = self.block:sub(self.at, stop - 1)
  self.at = stop + 1
  return text
end

-- The files of a commit, up to the hash of the next one, which is kept.
function GitSource:files(links)
  local files = tycho.array {}
  while true do
    local field = self:field()
    if not field or field:byte() == 1 then
      self.next_hash = field and field:sub(2)
      return files
    end
    local path = self:field()
    if not path then failure.raise(1, "git ended in the middle of a commit", "run it again") end
    local change = field:match("%a")
    files[#files + 1] = { path = path, change = changes[change] or change }
    links[#links + 1] = names.stream(("File$%s/%s"):format(self.name, path))
  end
end

--- The next item, as of `line_source.lua`.
function GitSource:next()
  local hash = self.next_hash
  if self.total == 0 then
    return nil
  elseif not hash and self.given == 0 then
    local field = self:field()
    hash = field and field:sub(2)
  end
  if not hash then
    if self.given < self.total then
      failure.raise(1, ("git ended after %d of %d commits"):format(self.given, self.total),
        "see what it says to: git log")
    end
    return nil
  end
  local fields = {}
  for index = 1, 7 do
    fields[index] = self:field()
    if not fields[index] then failure.raise(1, "git ended in the middle of a commit") end
  end
  local parents, author, email, written, committed, subject, body = table.unpack(fields)
  local links, size = {}, #subject + #body
  local files = self:files(links)
  local parent_list = tycho.array {}
  for parent in parents:gmatch("%S+") do parent_list[#parent_list + 1] = parent end
  self.given, self.hash = self.given + 1, hash
  body = body:gsub("%s+$", "")
  local event = {
    id = hash,
    type = "Committed",
    time = math.tointeger(tonumber(committed)) * 1000000,
    valid_time = math.tointeger(tonumber(written)) * 1000000,
    data = {
      subject = subject,
      body = body ~= "" and body or nil,
      author = { name = author, email = email },
      parents = parent_list,
      files = files,
    },
  }
  return { event = event, stream = self.stream, links = links, at = hash }, size + 100 * #links
end

function GitSource:place(item)
  return ("%s: commit %s"):format(self.directory, item and item.at or self.hash or "?")
end

function GitSource:fraction()
  return self.total > 0 and self.given / self.total or nil
end

function GitSource:close()
  if self.pipe then self.pipe:close() end
  self.pipe = nil
end

return { new = new }
