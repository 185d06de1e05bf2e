-- A yearpass is found again by its season.
return event_type {
  name = "YearpassBought",
  version = 1,
  data = { person = "string", season = "string", matches = array "string" },
  tags = function(data) return "season:" .. data.season end,
}
