--- unchanged(store, code, change): `change()` must be refused with the code, and the whole store is
--- the same afterwards as before. Gives the error. `tables` names tables of rows to compare too.

local assert = require "luassert"

local plain = require "support.plain"
local refusal = require "support.refusal"

return function(store, code, change, tables)
  local before = plain.dump(store, tables)
  local err = refusal.with(code, change)
  assert.same(before, plain.dump(store, tables))
  return err
end
