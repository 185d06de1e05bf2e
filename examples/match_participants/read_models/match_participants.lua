-- Who may enter a match: those who bought tickets for it, and those who have a yearpass that is
-- good for it.
--
-- A yearpass names the matches that it is good for, so that keys() knows where it belongs when it
-- is bought. The old ones are found by their season, which the match itself says: among them are
-- some that were bought too late for this match.
local function is_good_for(pass, match)
  for _, name in ipairs(pass.matches) do
    if name == match then return true end
  end
  return false
end

-- Sales may be recorded late, so that a return can come before its ticket.
local function count(tickets, person, change)
  local left = (tickets[person] or 0) + change
  tickets[person] = left ~= 0 and left or nil
end

return read_model {
  name = "MatchParticipants",
  version = 1,
  mode = "on_demand",
  order = "time",
  types = { "MatchScheduled", "YearpassBought", "TicketBought", "TicketReturned" },
  keys = function(event)
    return event.type == "YearpassBought" and event.data.matches or event.data.match
  end,
  history = function(key)
    return {
      { stream = "match-" .. key },
      function(_, found)
        if not found.season then return nil end
        return { types = { "YearpassBought" }, tags = { "season:" .. found.season } }
      end,
    }
  end,
  init = function(key) return { match = key, tickets = {}, yearpasses = {} } end,
  on = {
    MatchScheduled = function(state, event) state.season = event.data.season end,
    YearpassBought = function(state, event)
      if is_good_for(event.data, state.match) then state.yearpasses[event.data.person] = true end
    end,
    TicketBought = function(state, event)
      count(state.tickets, event.data.person, 1)
      state.last_buyer = event.data.person
    end,
    TicketReturned = function(state, event) count(state.tickets, event.data.person, -1) end,
  },
}
