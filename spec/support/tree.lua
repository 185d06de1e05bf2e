--- For specs about the source tree and what is built from it: temporary directories and commands.

local tree = {}

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end
tree.quoted = quoted

--- Runs a shell command: whether it ended with 0, and all that it printed.
function tree.run(command)
  local pipe = assert(io.popen("{ " .. command .. "\n} 2>&1 </dev/null"))
  local output = pipe:read("a")
  local is_good = pipe:close()
  return is_good == true, output
end

--- As run, but fails the example when the command does; gives what was printed.
function tree.must(command)
  local is_good, output = tree.run(command)
  if not is_good then error(("%s\nfailed:\n%s"):format(command, output), 2) end
  return output
end

function tree.read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

function tree.write_file(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
end

--- The absolute path of the tree.
function tree.root()
  return (tree.must("pwd"):gsub("\n$", ""))
end

--- A new directory, for remove_directory().
function tree.make_directory()
  return (tree.must("mktemp -d"):gsub("\n$", ""))
end

function tree.remove_directory(path)
  assert(path:find("^/.+/tmp%.%w+$") or path:find("^/tmp/"))
  os.execute("rm -rf " .. quoted(path))
end

return tree
