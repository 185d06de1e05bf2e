--- What random histories are made of.
---
---   streams, routes   how many names there are; few names make many collisions
---   types, tags       likewise
---   tags_max          tags of one event
---   events_max        events of one append
---   calls_max         conditions and operations of one batch
---   sizes             bytes of text in an event's data, one is chosen
---   times             how many different times; few make many ties
---   scripts           true where scripts are deployed

return {
  collisions = {
    streams = 3, routes = 3, types = 3, tags = 3, tags_max = 3, events_max = 3, calls_max = 5,
    sizes = { 0, 3 }, times = 6,
  },
  big_values = {
    streams = 4, routes = 1, types = 3, tags = 3, tags_max = 2, events_max = 4, calls_max = 3,
    sizes = { 0, 1, 1900, 2021, 2022, 2023, 4080, 4081, 5000, 65535, 70000 }, times = 50,
  },
  many_streams = {
    streams = 300, routes = 20, types = 40, tags = 100, tags_max = 3, events_max = 12,
    calls_max = 6, sizes = { 0, 10 }, times = 1000,
  },
  scripts = {
    streams = 4, routes = 2, types = 3, tags = 3, tags_max = 2, events_max = 4, calls_max = 4,
    sizes = { 0, 3 }, times = 20, scripts = true,
  },
  many_tags = {
    streams = 5, routes = 2, types = 2, tags = 24, tags_max = 20, events_max = 5, calls_max = 3,
    sizes = { 0 }, times = 30,
  },
}
