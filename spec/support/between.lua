--- Something between the batches of a library call that takes several.
---
---   local remove = between(store, { before = function(n) ... end, after = function(n) ... end })
---
--- `before` is called right before the n-th commit of a batch that the library makes from here on,
--- with all that it was made of read already; `after` right after it. What they raise goes through
--- the library, like the death of the process, but for the locks that it gives back.

return function(store, calls)
  local class, count = getmetatable(store).__index, 0

  local function watch(batch)
    local commit = batch.commit
    rawset(batch, "commit", function(self)
      count = count + 1
      local number = count
      if calls.before then calls.before(number) end
      local receipt = commit(self)
      if calls.after then calls.after(number) end
      return receipt
    end)
    return batch
  end

  rawset(store, "batch", function(self, fill)
    if fill then return class.batch(self, fill) end
    return watch(class.batch(self))
  end)
  return function() rawset(store, "batch", nil) end
end
