--- The rules of words: what is a valid name, id, version or position, and the errors that the model
--- raises. Everything here is a plain function of its arguments.
---
--- `refuse(code, message, facts)` raises what the engine raises for a refusal; `misuse(message)`
--- stands for a wrong argument.

local rules = {}

rules.NAME_MAX = 255
rules.ID_MAX = 64
rules.KEY_MAX = 400
rules.TAGS_MAX = 64
rules.EVENTS_MAX = 10000
rules.STEPS_MAX = 10000
rules.QUERY_MAX = 256
rules.EVENT_SIZE_MAX = 16 << 20
rules.BATCH_SIZE_MAX = 64 << 20

local Error = { __name = "model.Error" }
Error.__index = Error
Error.__tostring = function(self) return self.code .. ": " .. self.message end

--- Raises an error with a code and the facts that belong to it.
function rules.refuse(code, message, facts)
  local err = { code = code, message = message }
  for name, value in pairs(facts or {}) do err[name] = value end
  error(setmetatable(err, Error), 0)
end

function rules.misuse(message) rules.refuse("invalid_argument", message) end

function rules.check_name(name, what)
  if type(name) ~= "string" or #name < 1 or #name > rules.NAME_MAX then
    rules.misuse(what .. " must be a string of 1 to 255 bytes")
  end
  if not utf8.len(name) or name:find("[\0-\31\127]") then
    rules.misuse(what .. " must be UTF-8 without control characters")
  end
  return name
end

function rules.check_id(id, what)
  if type(id) ~= "string" or #id < 1 or #id > rules.ID_MAX then
    rules.misuse((what or "id") .. " must be a string of 1 to 64 bytes")
  end
  return id
end

function rules.check_key(key)
  if type(key) ~= "string" or #key > rules.KEY_MAX then
    rules.misuse("key must be a string of at most 400 bytes")
  end
  return key
end

function rules.check_integer(value, what, least)
  if math.type(value) ~= "integer" or (least and value < least) then
    rules.misuse(what .. " must be an integer" .. (least and " from " .. least or ""))
  end
  return value
end

--- "any", "none", "exists" or a revision; "auto" is "any".
function rules.check_version(version)
  if version == nil or version == "auto" then return "any" end
  if version == "any" or version == "none" or version == "exists" then return version end
  if math.type(version) == "integer" and version >= 0 then return version end
  if version == -1 then return "none" end
  return rules.refuse("invalid_expected_version", "cannot expect " .. tostring(version))
end

--- One value or a list of them, as a list.
function rules.as_list(value)
  if type(value) == "table" then return value end
  return { value }
end

--- A query of one item or of alternatives, as a list of { types = {...}, tags = {...} }.
function rules.check_query(query)
  if type(query) ~= "table" then rules.misuse("a query must be a table") end
  local items = (query.types or query.tags or next(query) == nil) and { query } or query
  local count = 0
  for _, item in ipairs(items) do
    for _, name in ipairs(item.types or {}) do rules.check_name(name, "type") end
    for _, name in ipairs(item.tags or {}) do rules.check_name(name, "tag") end
    count = count + #(item.types or {}) + #(item.tags or {})
  end
  if count > rules.QUERY_MAX then rules.refuse("too_large", "a query has at most 256 names") end
  return rules.copy(items)
end

local function contains(list, value)
  for _, member in ipairs(list) do
    if member == value then return true end
  end
  return false
end

--- One of the types (any when there are none) and all of the tags, for one of the items.
function rules.query_matches(items, event)
  for _, item in ipairs(items) do
    local types, matches = item.types or {}, true
    if #types > 0 and not contains(types, event.type) then matches = false end
    for _, tag in ipairs(item.tags or {}) do
      if not contains(event.tags, tag) then matches = false end
    end
    if matches then return true end
  end
  return #items == 0
end

--- A copy that shares nothing with the original; metatables (marks of arrays) stay.
function rules.copy(value)
  if type(value) ~= "table" then return value end
  local result = {}
  for key, member in pairs(value) do result[key] = rules.copy(member) end
  return setmetatable(result, getmetatable(value))
end

return rules
