--- Scripts that would go on for ever, or take all memory. How they are run: sandbox_hostile_test.c.
--- Each case begins with what must become of it; the sandbox has its default limits.

--- over budget: an endless loop
while true do end

--- over budget: an endless loop of goto
::again:: goto again

--- over budget: an endless repeat
repeat until false

--- over budget: a loop over all integers
for i = math.mininteger, math.maxinteger do end

--- over budget: a float loop that never gets on
for i = 0x1p53, 0x1p54 do i = 1 end

--- returns '1': an integer loop at the end of integers ends
local n = 0 for i = math.maxinteger, math.maxinteger do n = n + 1 end return n

--- fails 'step is zero': a loop without step
for i = 1, 2, 0 do end

--- over budget: pcall cannot hold the error of the budget
while true do pcall(function() while true do end end) end

--- over budget: nor can pcall within pcall
local function nest(n) while true do if n > 0 then pcall(nest, n - 1) end end end
while true do pcall(pcall, pcall, nest, 50) end

--- over budget: nor a chain of pcalls that catch each other
local function f() pcall(f) pcall(f) end
while true do f() end

--- over budget: nor a coroutine
while true do coroutine.resume(coroutine.create(function() while true do end end)) end

--- over budget: nor wrapped coroutines within each other
local function nest(n)
  if n == 0 then while true do end end
  return coroutine.wrap(function() nest(n - 1) end)()
end
while true do pcall(nest, 100) end

--- over budget: short coroutines are counted
while true do coroutine.wrap(function() local a = 1 end)() end

--- over budget: yielding for ever
local co = coroutine.wrap(function() while true do coroutine.yield() end end)
while true do co() end

--- over budget: a coroutine that resumes who runs does not delay the hook
local main = coroutine.running()
while true do coroutine.resume(main) end

--- over budget: nor does one that resumes a dead one
local dead = coroutine.create(function() end)
coroutine.resume(dead)
while true do coroutine.resume(dead) end

--- over budget: pcall in a coroutine in a pcall
while true do
  pcall(coroutine.wrap(function()
    while true do pcall(function() coroutine.yield(pcall(error)) while true do end end) end
  end))
end

--- over budget: a metamethod that loops
local t = setmetatable({}, {__index = function() while true do end end})
while true do pcall(function() return t.x end) end

--- over budget: __eq that loops
local mt = {__eq = function() while true do end end}
return setmetatable({}, mt) == setmetatable({}, mt)

--- over budget: __lt that loops, in a sort
local mt = {__lt = function() while true do end end}
local t = {setmetatable({}, mt), setmetatable({}, mt)}
while true do pcall(table.sort, t) end

--- over budget: __le that loops
local mt = {__le = function() while true do end end}
return setmetatable({}, mt) <= setmetatable({}, mt)

--- over budget: __len that loops
return #setmetatable({}, {__len = function() while true do end end})

--- over budget: __call that loops
setmetatable({}, {__call = function() while true do end end})()

--- over budget: __unm that loops
return -setmetatable({}, {__unm = function() while true do end end})

--- over budget: __tostring that loops
return tostring(setmetatable({}, {__tostring = function() while true do end end}))

--- over budget: __tostring that loops, in format
return ('%s'):format(setmetatable({}, {__tostring = function() while true do end end}))

--- over budget: an error object whose __tostring would loop is not asked, but the loop behind is
pcall(error, setmetatable({}, {__tostring = function() while true do end end}))
while true do end

--- over budget: a table of itself for ever
local t = {} t.t = t
while t do t = t.t end

--- over budget: ipairs that never ends
for i in ipairs(setmetatable({}, {__index = function(_, i) return i end})) do end

--- over budget: a sort whose comparison loops
table.sort({2, 1}, function() while true do end end)

--- returns '5': a sort ends whatever the comparison says
local t = {5, 4, 3, 2, 1} table.sort(t, function() return true end) return #t

--- returns '200': also with a random comparison
local t = {} for i = 1, 200 do t[i] = i end
table.sort(t, function() return math.random(2) == 1 end)
local seen = {} for _, v in ipairs(t) do seen[v] = true end
local n = 0 for _ in pairs(seen) do n = n + 1 end return n

--- fails 'more than 200000 items': a sort of too many
local t = {} for i = 1, 200001 do t[i] = 0 end table.sort(t)

--- over budget: large sorts again and again
local t = {} for i = 1, 20000 do t[i] = -i end
while true do table.sort(t) end

--- over budget: patterns with many optional items
return ('a'):rep(28):match(('a?'):rep(28) .. ('a'):rep(28))

--- over budget: lazy repetitions
return ('a'):rep(400):match('.-.-.-.-.-b')

--- over budget: greedy captures
return ('a'):rep(500):match('(.*)(.*)(.*)(.*)b')

--- over budget: a pattern at each place of a long subject
return ('a'):rep(200000):find('a*b')

--- over budget: balances that never close
return ('('):rep(100000):gsub('%b()', '')

--- over budget: frontiers with long sets
local set = ('x'):rep(10000)
while true do ('a'):rep(1000):gsub('%f[' .. set .. ']', '') end

--- over budget: long sets for each character
local set = '[' .. ('b'):rep(16000) .. ']'
return ('a'):rep(100000):find(set)

--- over budget: back references
return ('a'):rep(5000):find('(a*)%1%1%1b')

--- fails 'more than 16384 bytes': a pattern that is too long
return ('a'):find(('a?'):rep(10000))

--- fails 'pattern too complex': a pattern with too many repetitions
return ('a'):rep(1000):find(('a?'):rep(500))

--- fails 'too many captures': a pattern with too many captures
return ('a'):rep(100):find(('(a)'):rep(40))

--- over budget: pattern errors in a loop of pcalls
while true do pcall(string.find, 'a', '[') end

--- over budget: gsub that calls for ever
while true do (('a'):rep(1000)):gsub('a', function() end) end

--- over budget: gsub whose function loops
('a'):gsub('a', function() while true do end end)

--- fails 'no': gsub whose function raises
('abc'):gsub('b', function() error('no') end)

--- fails 'a string may have 1048576': gsub that makes the text too long
local s = ('a'):rep(2000)
return s:gsub('a', s)

--- fails 'a string may have 1048576': gsub with captures that makes the text too long
return (('a'):rep(1000000)):gsub('.+', '%0%0%0%0')

--- over budget: gmatch for ever
while true do for _ in (('a b '):rep(100)):gmatch('%a') do end end

--- over budget: plain find in long texts
local s = ('a'):rep(500000)
while true do s:find('b', 1, true) end

--- returns '': a repetition of nothing ends at once
return (''):rep(math.maxinteger)

--- returns '': also with a separator of nothing
return (''):rep(math.maxinteger, '')

--- fails 'more than 1048576 bytes': a repetition that is too long
return ('x'):rep(math.maxinteger)

--- fails 'more than 1048576 bytes': also where its size overflows
return ('x'):rep(1 << 62, ('y'):rep(8))

--- over budget: long repetitions in a loop
while true do ('x'):rep(1000000) end

--- over budget: long concatenations in a loop
local s = ('x'):rep(200000)
while true do local t = s .. s end

--- over memory: doubling a text
local s = 'x' while true do s = s .. s end

--- over memory: doubling a text in pcalls
local s = 'x' while true do pcall(function() s = s .. s end) end

--- over budget: upper, lower, reverse of long texts
local s = ('x'):rep(1000000)
while true do s:upper():lower():reverse() end

--- over budget: utf8 functions on long texts
local s = ('x'):rep(1000000)
while true do utf8.len(s) utf8.offset(s, 500000) end

--- over budget: comparing equal long texts
local a, b = ('x'):rep(1000000) .. 1, ('x'):rep(1000000) .. 1
while a == b do end

--- over budget: ordering equal long texts
local a, b = ('x'):rep(1000000) .. 1, ('x'):rep(1000000) .. 1
while not (a < b) do end

--- over budget: long texts as keys
local a, b = ('x'):rep(1000000) .. 1, ('x'):rep(1000000) .. 1
local t = {[a] = 1}
while t[b] do end

--- fails 'bitwise operation on a string': texts are no integers
local a = ('0'):rep(1000000)
while true do local b = a | 1 end

--- over budget: long texts as numbers
local a = ('1'):rep(1000000)
while true do tonumber(a) tonumber(a, 16) end

--- fails 'more than 200000 items': moving too many items
table.move({}, 1, 1000000000, 2)

--- fails 'more than 200000 items': moving all items there are
table.move({}, math.mininteger, math.maxinteger, 1)

--- fails 'too large': moving to where there are no integers
table.move({1, 2}, 1, 2, math.maxinteger)

--- over budget: moving in a loop
local t = {} while true do table.move(t, 1, 200000, 2) end

--- over budget: inserting at the front
local t = {} while true do table.insert(t, 1, 1) end

--- over budget: removing at the front
local t = {} for i = 1, 10000 do t[i] = i end
while true do for i = 1, 10000 do t[i] = i end for i = 1, 10000 do table.remove(t, 1) end end

--- fails 'more than 200000 items': concat of too many
return table.concat({}, '', 1, math.maxinteger)

--- over budget: concat in a loop
local t = {} for i = 1, 1000 do t[i] = ('x'):rep(1000) end
while true do table.concat(t) end

--- fails 'more than 250 items': unpack of too many
return table.unpack({}, 1, 1e8)

--- fails 'more than 250 items': unpack of all there are
return table.unpack({}, math.mininteger, math.maxinteger)

--- fails 'more than 250 items': unpack up to the last integer
return table.unpack({}, 0, math.maxinteger)

--- fails 'more than 250 results': bytes of a long text
return (('x'):rep(300)):byte(1, -1)

--- fails 'more than 250 results': code points of a long text
return utf8.codepoint(('x'):rep(300), 1, -1)

--- returns '0': a length that lies is not believed
local t = setmetatable({}, {__len = function() return math.maxinteger end})
table.insert(t, 1) table.remove(t) return #table.concat(t)

--- over memory: an infinite recursion
local function f() return 1 + f() end
return f()

--- over memory: an infinite recursion that is caught
local function f() return 1 + f() end
while true do pcall(f) end

--- over budget: an infinite recursion in tail calls
local function f() return f() end
return f()

--- fails 'stack overflow': a recursion through a metamethod
local t t = setmetatable({}, {__index = function(_, k) return t[k + 1] end})
return t[1]

--- fails 'stack overflow': a recursion through gsub
local function f(s) return (s:gsub('.', f)) end
return f('x')

--- fails 'stack overflow': a recursion through tostring
local mt = {} mt.__tostring = function() return tostring(setmetatable({}, mt)) end
return tostring(setmetatable({}, mt))

--- fails 'stack overflow': a recursion through sort
local function f() table.sort({1, 2}, f) end
f()

--- fails 'C stack overflow': coroutines in coroutines
local function f() return coroutine.wrap(f)() end
f()

--- over budget: coroutines in coroutines that are caught
local function f() pcall(coroutine.wrap(f)) end
while true do f() end

--- over memory: many coroutines that are kept
local t = {} while true do t[#t + 1] = coroutine.create(function() end) end

--- over memory: many tables that are kept
local t = {} for i = 1, 1000000 do t[i] = {1, 2, 3, 4, 5, 6, 7, 8} end

--- over memory: many closures that are kept
local t, a, b, c = {}, 1, 2, 3
while true do
  local d, e = 4, 5
  t[#t + 1] = function() return t, a, b, c, d, e end
end

--- over memory: many fields
local t = {} local i = 0 while true do i = i + 1 t['k' .. i] = i end

--- over budget: a large table of which each new key takes the place of another
local t = {} for i = 1, 65536 do t[i + 0.5] = i end
local i = 0
while true do i = i + 1 t[i + 0.5] = nil t[i + 65536.5] = i end

--- over budget: integers that collide when the table gets the next room
local t = {} for i = 1, 65537 do t[i * 131071] = i end

--- over budget: integers that collide whatever room the table has
local t = {} for i = 1, 60000 do t[i * 4095 * 8191 * 16383] = i end

--- over budget: looking for what is not there among integers that collide
local t = {} for i = 1, 3000 do t[i * 4095] = i end
for i = 1, 200000 do local x = t[-i * 4095] end

--- over budget: floats that collide, since Lua takes 31 bits of them
local t, step = {}, 1 / (1 << 45) for i = 1, 30000 do t[1.5 + i * step] = i end

--- over budget: keys that collide and leave an array
local t = {} for i = 1, 40000 do t[i] = i end
for i = 1, 40000 do t[i] = nil t[i * 65535] = i end
for i = 1, 40000 do t[i * 65535 * 131071] = i end

--- returns '40000': as many that do not
local t = {} for i = 1, 40000 do t[i * 7919] = i end return t[7919 * 40000]

--- over budget: pairs of a table with much room and no fields
local t = {} for i = 1, 100000 do t[i] = i end for i = 1, 100000 do t[i] = nil end
while true do for _ in pairs(t) do end end

--- over budget: pairs of a large table
local t = {} for i = 1, 5000 do t['k' .. i] = i end
while true do for _ in pairs(t) do break end end

--- over budget: sorting long keys
local t, s = {}, ('x'):rep(2000) for i = 1, 500 do t[s .. i] = i end
while true do pairs(t) end

--- over budget: very many arguments
local function f(...) return f(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ...) end
return f()

--- over budget: passing on many arguments
local function many(n, ...)
  if n > 0 then return many(n - 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, ...) end
  local function take(...) end
  while true do take(...) end
end
return many(1500)

--- over budget: selecting from many arguments
local function many(n, ...)
  if n > 0 then return many(n - 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, ...) end
  while true do select('#', ...) end
end
return many(1500)

--- over budget: packing many arguments
local function many(n, ...)
  if n > 0 then return many(n - 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, ...) end
  while true do local t = {...} end
end
return many(1500)

--- fails 'is the table itself': an __index that is the table itself
local t = {} t.__index = t setmetatable(t, t) return t.x

--- fails 'serves as the __index': a loop of __index tables
local a, b = {}, {}
setmetatable(a, {__index = b}) setmetatable(b, {__index = a}) return a.x

--- fails 'more than 16 tables': a long chain of __index tables
local t = {} for i = 1, 2000 do t = setmetatable({}, {__index = t}) end return t.x

--- fails 'serves as the __index': a long chain that is built from its front
local first = {} local t = first
for i = 1, 2000 do local n = {} setmetatable(t, {__index = n}) t = n end return first.x

--- fails 'more than 16 tables': a long chain of __newindex tables
local t = {} for i = 1, 2000 do t = setmetatable({}, {__newindex = t}) end t.x = 1

--- fails '__call is a table': a __call that is a table
local t = {} setmetatable(t, {__call = t}) t()

--- fails '__call is a table': a chain of __call
local f = function() end
for i = 1, 200 do f = setmetatable({}, {__call = f}) end f()

--- over budget: error messages with long names
local t = {}
while true do pcall(function() return t[('x'):rep(10000)].y end) end

--- over budget: raising errors for ever
while true do pcall(error, 'x') end

--- over budget: formats with wide fields
while true do ('%99.99f%99d%-99s'):format(1e308, 1, 'x') end

--- fails 'a string may have 1048576': a format that is too long
local s = ('x'):rep(1000000) return ('%s%s'):format(s, s)

--- fails 'more than two digits': a width that is too long
return ('%999d'):format(1)

--- fails 'more than two digits': a width that no integer can be
return ('%777777777777777777777d'):format(1)

--- fails 'more than two digits': a precision that no integer can be
return ('%.777777777777777777777f'):format(1)

--- fails 'a string may have 1048576': a concat that is too long
local s, t = ('x'):rep(100000), {} for i = 1, 100 do t[i] = s end return table.concat(t)

--- over budget: many characters again and again
local t = {} for i = 1, 250 do t[i] = 0x10FFFF end
while true do utf8.char(table.unpack(t)) end

--- over budget: a replacement of a million captures of nothing
return (('x'):rep(300):gsub('(x-)', ('%1'):rep(500000)))

--- over budget: sorting long texts that begin alike
local a, b = ('x'):rep(1000000) .. 'a', ('x'):rep(1000000) .. 'b'
local t, n = {a, b}, 2
while n < 20000 do table.move(t, 1, n, n + 1) n = n * 2 end
table.sort(t)

--- over budget: long texts of digits as arguments
local t = {} for i = 1, 250 do t[i] = ('0'):rep(1000) .. '65' end
for i = 1, 250 do t[i] = ('0'):rep(1000000) .. '65' if i > 8 then t[i] = t[8] end end
while true do string.char(table.unpack(t)) end

--- over budget: long texts of digits as positions
local s = ('0'):rep(1000000) .. '1'
while true do ('a'):sub(s, s) end

--- over budget: long texts of digits to mathematics
local s = ('0'):rep(1000000) .. '1'
while true do math.floor(s) math.sqrt(s) end

--- over budget: patterns that are looked through for what is special in them
local p = ('a'):rep(1000000) .. '%'
while true do pcall(string.find, 'a', p) end

--- over budget: a metatable with much room and no fields
local t = {} for i = 1, 100000 do t[i] = i end for i = 1, 100000 do t[i] = nil end
while true do setmetatable({}, t) end
