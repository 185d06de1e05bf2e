--- Deploys versions of the event type "A" and of the linker "by", or publishes events of what it
--- takes for the present version, so many times: deployer.lua STORE deploy|publish COUNT
local tycho = require "tycho"

local path, role, count = arg[1], arg[2], math.tointeger(tonumber(arg[3]))
local store <close> = tycho.open(path, { sync = "none" })

local TYPE = [[
return event_type {
  name = "A", version = %d, upcast = { %s },
  check = function(data) if data.v ~= %d then return "another version" end end,
  tags = function(data) return "v" .. data.v end,
}]]

local function version_of(kind, name)
  local script = store:script(kind, name)
  if not script then return 0 end
  script:close()
  return script.version
end

local function deploy(number)
  if number % 3 == 0 then
    local version = version_of("linker", "by") + 1
    return store:deploy { sources = ("return linker { name = 'by', version = %d, "
      .. "streams = '*', to = function() return 'by-%d' end }"):format(version, version) }
  end
  local version = version_of("event_type", "A") + 1
  local upcasts = ("function(data) return data end, "):rep(version - 1)
  return store:deploy { sources = TYPE:format(version, upcasts, version) }
end

for number = 1, count do
  local done, err
  if role == "deploy" then
    done, err = pcall(deploy, number)
    store:wait(math.maxinteger, 0.01)
  else
    local data = { v = version_of("event_type", "A") }
    done, err = pcall(store.append, store, "s", { type = "A", data = data })
  end
  if not done and err.code ~= "rejected" then error(err, 0) end
end
