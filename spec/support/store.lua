--- The fixture of the binding's specs: a fresh temporary store for each example, which ends with a
--- check of the whole store.
---
---   describe("a cursor", function()
---     local fresh = require("support.store")()
---     it("...", function() local store = fresh() ... end)

local busted = require "busted"

return function()
  local stores = {}

  busted.after_each(function()
    local opened = stores
    stores = {}
    for _, store in ipairs(opened) do
      local is_open, found = pcall(store.verify, store)
      store:close()
      if is_open then
        assert(#found.findings == 0, "the store is damaged: " .. table.concat(found.findings, "; "))
      else
        assert(tostring(found):find("store is closed", 1, true), tostring(found))
      end
    end
  end)

  return function(options)
    options = options or { sync = "none" }
    stores[#stores + 1] = require("tycho").temporary(options)
    return stores[#stores]
  end
end
