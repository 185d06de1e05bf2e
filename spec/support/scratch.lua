--- Directories for stores that must outlive their handle, below $TMPDIR or /tmp.

local lfs = require "lfs"

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

return scratch
