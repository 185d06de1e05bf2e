--- The error of a call that must fail, as a table with `code` and facts. Misuse, which raises a
--- sentence at the caller's line, has the code "invalid_argument". Errors of Lua itself (calling
--- nil, and so on) are mistakes of the code under test, never refusals: they are raised again.

local refusal = {}

--- What an error value stands for, or nil when it is no refusal.
function refusal.parse(err)
  if type(err) ~= "string" then
    local ok, code = pcall(function() return err.code end)
    return ok and code and err or nil
  end
  for _, mistake in ipairs { "attempt to ", "stack overflow", "not enough memory", "module '" } do
    if err:find(mistake, 1, true) then return nil end
  end
  return { code = "invalid_argument", message = err }
end

--- Calls fn(...), which must be refused, and gives the error.
function refusal.of(fn, ...)
  local ok, err = pcall(fn, ...)
  if ok then error("the call was not refused", 2) end
  return refusal.parse(err) or error(err, 0)
end

--- Calls fn(...), which must be refused with this code, and gives the error.
function refusal.with(code, fn, ...)
  local err = refusal.of(fn, ...)
  if err.code ~= code then
    error(("refused with %s, not with %s: %s"):format(err.code, code, tostring(err.message)), 2)
  end
  return err
end

return refusal
