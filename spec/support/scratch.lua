--- Directories for stores that must outlive their handle, below /tmp.

local lfs = require "lfs"
local process = require "support.process"

local scratch = {}

--- A new path below a new directory; nothing is at the path yet.
function scratch.path()
  local name = os.tmpname()
  os.remove(name)
  assert(lfs.mkdir(name))
  return name .. "/store", name
end

--- Removes a directory made by `path` and all that is in it.
function scratch.remove(directory)
  for entry in lfs.dir(directory) do
    if entry ~= "." and entry ~= ".." then
      local path = directory .. "/" .. entry
      if lfs.symlinkattributes(path, "mode") == "directory" then
        scratch.remove(path)
      else
        os.remove(path)
      end
    end
  end
  lfs.rmdir(directory)
end

local function verify(path)
  if not lfs.attributes(path .. "/data.mdb") then return {} end
  local store <close> = require("tycho").open(path, { mode = "existing" })
  return store:verify().findings
end

--- The fixture of specs with several processes. Before each example begin(path, directory) is
--- called with a new path; after it processes are ended, the store is verified, all is removed.
---@param begin fun(path: string, directory: string)
function scratch.each(begin)
  local busted = require "busted"
  local path, directory
  busted.before_each(function()
    path, directory = scratch.path()
    begin(path, directory)
  end)
  busted.after_each(function()
    process.clean()
    local is_open, found = pcall(verify, path)
    scratch.remove(directory)
    assert(is_open, found)
    assert(#found == 0, "the store is damaged: " .. table.concat(found, "; "))
  end)
end

return scratch
