--- What must hold: each answer is the fold, in the order of time, of all sales up to its position
--- that the log has. It is computed here without the read model and its streams.
local experiment = require "experiment"

local proof = {}

--- The sales of each match, by position: {position, time, person, kind}.
local function sales_of(store)
  local sales = {}
  for index = 1, #experiment.matches do sales[experiment.matches[index]] = {} end
  for event in store:read():of_type("TicketBought", "TicketReturned", "YearpassBought"):each() do
    local data = event.data
    for _, match in ipairs(data.matches or { data.match }) do
      table.insert(sales[match], { position = event.position, time = event.time,
        person = data.person, type = event.type })
    end
  end
  return sales
end

local function by_time(a, b)
  if a.time ~= b.time then return a.time < b.time end
  return a.position < b.position
end

local function digest_at(sales, position)
  local seen, tickets, yearpasses, last_buyer = {}, {}, {}, nil
  for _, sale in ipairs(sales) do
    if sale.position <= position then seen[#seen + 1] = sale end
  end
  table.sort(seen, by_time)
  for _, sale in ipairs(seen) do
    if sale.type == "YearpassBought" then
      yearpasses[sale.person] = true
    else
      local count = (tickets[sale.person] or 0) + (sale.type == "TicketBought" and 1 or -1)
      tickets[sale.person] = count ~= 0 and count or nil
      if sale.type == "TicketBought" then last_buyer = sale.person end
    end
  end
  return experiment.digest(tickets, yearpasses, last_buyer)
end

local function read_answers(directory, askers)
  local list = {}
  for number = 1, askers do
    for line in io.lines(experiment.answers_of(directory, number)) do
      local match, position, digest = line:match("^ *(%d+) +(%d+) +(%-?%d+)$")
      assert(match, "a broken line: " .. line)
      list[#list + 1] = { match = experiment.matches[math.tointeger(match)],
        position = math.tointeger(position), digest = math.tointeger(digest) }
    end
  end
  return list
end

--- Compares all answers: how many there are, and how many are wrong.
function proof.compare(store, directory, askers)
  local sales, wrong = sales_of(store), 0
  local answers = read_answers(directory, askers)
  for _, answer in ipairs(answers) do
    if digest_at(sales[answer.match], answer.position) ~= answer.digest then wrong = wrong + 1 end
  end
  return #answers, wrong
end

--- The instances at the end, and how many of them are not what a fresh fold gives, or have an event
--- twice in their stream.
function proof.check_instances(store, model)
  local doubled, differ = 0, 0
  for _, match in ipairs(experiment.matches) do
    local state = model:get(match)
    local fresh = model:get(match, { fresh = true })
    if experiment.digest(state.tickets, state.yearpasses, state.last_buyer)
        ~= experiment.digest(fresh.tickets, fresh.yearpasses, fresh.last_buyer) then
      differ = differ + 1
    end
    local seen = {}
    for event in store:read():stream(experiment.model .. "$" .. match):each() do
      if seen[event.id] then doubled = doubled + 1 end
      seen[event.id] = true
    end
  end
  return differ, doubled
end

return proof
