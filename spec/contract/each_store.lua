--- Runs a group of examples once for the engine and once for the model.
---
---   each_store("A stream", function(fresh)
---     it("begins empty", function() assert.equal(-1, fresh():stream_version("a")) end)
---   end)
---
--- `fresh()` opens a new store; when the example is over it is verified and closed. STORES=model
--- (or engine) chooses one of them.

local busted = require "busted"

local makers = {
  engine = function() return require("tycho").temporary { sync = "none" } end,
  model = function() return require("support.model").temporary() end,
}

return function(title, body)
  for _, kind in ipairs { "engine", "model" } do
    if (os.getenv("STORES") or kind) == kind then
      busted.describe(("%s [%s]"):format(title, kind), function()
        local stores = {}
        local function fresh()
          stores[#stores + 1] = makers[kind]()
          return stores[#stores]
        end
        busted.after_each(function()
          local opened = stores
          stores = {}
          for _, store in ipairs(opened) do
            local findings = store:verify().findings
            store:close()
            assert(#findings == 0, "the store is damaged: " .. table.concat(findings, "; "))
          end
        end)
        body(fresh, kind)
      end)
    end
  end
end
