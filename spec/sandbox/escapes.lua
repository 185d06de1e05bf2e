--- Scripts that try to get at what is not theirs, or to leave something behind. How they are run:
--- sandbox_hostile_test.c.

--- returns 'false, test:2: there is no global 'load''
return pcall(function() return load('return 1') end)

--- returns '0': nothing that is dangerous is there
local n = 0
for _, name in ipairs({'load', 'loadstring', 'loadfile', 'dofile', 'require', 'package', 'io', 'os',
  'debug', 'collectgarbage', 'xpcall', 'print', 'next', '_G', 'setfenv', 'getfenv', 'module',
  'newproxy', 'unpack', 'warn', 'jit', 'ffi', 'bit32', 'arg', '_VERSION'}) do
  if pcall(function() return _ENV[name] end) then n = n + 1 end
end
return n

--- returns 'nil, nil, nil, nil, nil, nil, nil': nor in the libraries
return string.dump, string.pack, string.unpack, string.packsize, coroutine.close,
  math.randomseed, math.sin

--- fails 'the global 'x' cannot be set': globals cannot be set
x = 1

--- fails 'the global 'pairs' cannot be set': also those that exist
pairs = nil

--- fails 'cannot be set': also through _ENV
_ENV.y = 1

--- fails 'read-only': also raw
rawset(_ENV, 'y', 1)

--- fails 'there is no global 'y'': a global that does not exist cannot be read
return y

--- fails 'metatable of this table is protected': the environment has no other metatable
setmetatable(_ENV, {})

--- fails 'metatable of this table is protected': a library has no other metatable
setmetatable(string, {__index = {}})

--- fails 'read-only: 'upper' cannot be set': libraries cannot be changed
string.upper = string.lower

--- fails 'read-only': not even raw
rawset(string, 'upper', string.lower)

--- fails 'read-only': nor by insert
table.insert(string, 1)

--- fails 'read-only': nor by remove
table.remove(table)

--- fails 'read-only': nor by move
table.move({1}, 1, 1, 1, math)

--- fails 'read-only': nor by sort
table.sort(math)

--- returns 'false, false, false': their metatables are hidden
return getmetatable(''), getmetatable(string), getmetatable(_ENV)

--- fails 'attempt to index a boolean': so there is no way to their __index
getmetatable('').__index.upper = function() return 'evil' end

--- fails 'table expected, got string': strings get no metatable
setmetatable('', {__index = error})

--- fails 'table expected, got function': functions neither
setmetatable(error, {__call = error})

--- fails 'table expected, got no value': none at all
setmetatable()

--- fails 'there is no __gc': no finalizers
setmetatable({}, {__gc = function() while true do end end})

--- fails 'there is no __mode': no weak tables
setmetatable({}, {__mode = 'k'})

--- fails 'there is no __close': nothing to be closed
local x <close> = setmetatable({}, {__close = function() while true do end end})

--- fails 'there is no __concat': no concatenation of objects
setmetatable({}, {__concat = function() return {} end})

--- fails 'there is no __metatable': no metatables of one's own making that hide
setmetatable({}, {__metatable = 1})

--- fails 'there is no __pairs': no pairs of one's own
setmetatable({}, {__pairs = function() return error end})

--- fails 'there is no __pow': no powers
setmetatable({}, {__pow = function() return 1 end})

--- fails 'there is no __aaa': the first of the refused is told
setmetatable({}, {__zzz = 1, __mmm = 2, __aaa = 3, __kkk = 4})

--- returns 'nil': a finalizer that is added later is not seen
local mt = {} local t = setmetatable({}, mt)
mt.__gc = function() while true do end end
mt.__index = {x = 1}
return t.x

--- returns 'true, true': but the metatable is known again
local mt = {} local t = setmetatable({}, mt)
return getmetatable(t) == mt, getmetatable(setmetatable(t, nil)) == nil

--- returns '7, 3, x, nil, true': metamethods work
local Point = {} Point.__index = Point
Point.__add = function(a, b) return a.x + b.x end Point.__len = function(a) return a.x end
Point.__tostring = function() return 'x' end Point.__eq = function() return true end
local function point(x) return setmetatable({x = x}, Point) end
return point(3) + point(4), #point(3), tostring(point(1)), point(1).y, point(1) == point(2)

--- returns '1, 2, nil': inheritance works
local Base = {a = 1} Base.__index = Base
local Derived = setmetatable({b = 2}, Base) Derived.__index = Derived
local object = setmetatable({}, Derived)
return object.a, object.b, object.c

--- returns 'true': an environment of one's own
local ipairs, set = ipairs, setmetatable
local _ENV = set({}, {__index = _ENV})
x = 5 return x == 5 and string ~= nil

--- fails 'attempt to index a function': no functions inside a function
return error.x

--- fails 'attempt to perform arithmetic on a string': no metamethods of strings
return '10' + 1

--- fails 'attempt to call a nil value': no dump of a function
return string.dump(function() end)

--- returns 'table, function, thread, userdata or none': no addresses
local text = tostring({}) .. ', ' .. tostring(error) .. ', ' .. tostring(coroutine.create(error))
return text .. ', userdata or none'

--- fails 'there is no '%p'': nor by format
return ('%p'):format({})

--- fails 'there is no '%a'': nor hexadecimal floats
return ('%a'):format(1)

--- fails 'there is no '%q'': nor quoted ones
return ('%q'):format(1)

--- returns 'table': nor by format of a table
return ('%s'):format({})

--- fails '(a table as error)': an error of a table says no address
error({})

--- fails 'keys of that type have no order': pairs refuses keys without an order
for k in pairs({[{}] = 1}) do return k end

--- fails 'keys of that type have no order': functions too
for k in pairs({[error] = 1, a = 1}) do return k end

--- returns '-1,0,1,1.5,2,A,a,aa,b,false,true,': numbers, strings by bytes, false, true
local s = ''
for k in pairs({b = 1, [2] = 1, aa = 1, [1.5] = 1, A = 1, [true] = 1, [0] = 1, a = 1, [-1] = 1,
  [1] = 1, [false] = 1}) do s = s .. tostring(k) .. ',' end return s

--- returns '-inf,-1e+30,-9223372036854775807,-0.5,0,9007199254740993,1e+30,inf,': all numbers
local s = ''
for k in pairs({[1e30] = 1, [-math.huge] = 1, [math.mininteger + 1] = 1, [-1e30] = 1,
  [math.huge] = 1, [0] = 1, [-0.5] = 1, [9007199254740993] = 1}) do s = s .. tostring(k) .. ','
end return s

--- returns 'a,b,c,': a loop may delete what it meets
local t, s = {a = 1, b = 2, c = 3}, ''
for k in pairs(t) do s = s .. k .. ',' t[k] = nil end return s

--- returns 'a,c,': and what comes later
local t, s = {a = 1, b = 2, c = 3}, ''
for k in pairs(t) do s = s .. k .. ',' t.b = nil end return s

--- returns 'a,': and add, which is not shown
local t, s = {a = 1}, ''
for k in pairs(t) do s = s .. k .. ',' t.b = 1 end return s

--- returns '1,3,': also in a sequence
local t, s = {1, 2, 3}, ''
for k in pairs(t) do s = s .. k .. ',' t[2] = nil end return s

--- fails 'there is no global 'os'': no clock
return os.time()

--- returns 'nil, nil': no collector
local ok, a = pcall(function() return collectgarbage end)
return not ok and nil, nil

--- fails 'attempt to yield from outside a coroutine': no yield out of the call
coroutine.yield(1)

--- returns 'false, cannot resume non-suspended coroutine': who runs cannot be resumed
return coroutine.resume((coroutine.running()))

--- returns 'false, cannot resume dead coroutine': who is dead neither
local co = coroutine.create(function() end) coroutine.resume(co) return coroutine.resume(co)

--- returns 'true, 1, suspended, false, test:3: x, dead': coroutines work
local co = coroutine.create(function() coroutine.yield(1)
  error('x') end)
local a, b = coroutine.resume(co) local s = coroutine.status(co)
local c, d = coroutine.resume(co) return a, b, s, c, d, coroutine.status(co)

--- returns '3, false, no': pcall may be yielded over
local co = coroutine.wrap(function()
  return pcall(function() coroutine.yield(3) error('no', 0) end)
end)
local a = co() return a, co()

--- fails 'non-closable': a variable with <close> holds nothing that could be closed
local x <close> = {}

--- returns '1': nil may be in one
local x <close> = nil return 1

--- refused 'attempt to assign to const variable': constants stay
local x <const> = 1 x = 2

--- refused 'no operator '^'': no powers
return 2 ^ 0.5

--- refused 'unfinished string': text that ends within a string
return "abc

--- refused 'invalid long string delimiter': long brackets that are none
return [===

--- refused 'C stack overflow': expressions that are nested too deep
return ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((
((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((
((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1

--- fails 'index out of range': select with the smallest integer
return select(math.mininteger, 1)

--- fails 'base out of range': tonumber with a strange base
return tonumber('1', 37)

--- fails 'value out of range': char of the largest integer
return string.char(math.maxinteger)

--- fails 'value out of range': a code point that is none
return utf8.char(0x110000)

--- fails 'value out of range': a surrogate
return utf8.char(0xD800)

--- fails 'out of bounds': an offset that is none
return utf8.offset('abc', 1, math.mininteger)

--- returns ', abc, , c': sub with the ends of integers
return ('abc'):sub(math.maxinteger), ('abc'):sub(math.mininteger, math.maxinteger),
  ('abc'):sub(math.maxinteger, math.mininteger), ('abc'):sub(-1, math.maxinteger)

--- returns 'nil, nil, 1, 1': find and byte with the ends of integers
return ('abc'):find('a', math.maxinteger), ('abc'):match('a', math.maxinteger),
  ('abc'):find('a', math.mininteger)

--- fails 'interval is empty': random numbers from an empty interval
return math.random(1, math.mininteger)

--- returns '0, -9223372036854775808, 9223372036854775807': edges of integer arithmetic
return math.fmod(math.mininteger, -1), math.abs(math.mininteger), math.abs(-math.maxinteger)

--- fails 'zero': remainders by zero
return math.fmod(1, 0)

--- fails 'attempt to divide by zero': division by zero
return 1 // 0

--- returns '9223372036854775807, nil, nil': integers that are too large
return math.tointeger(math.maxinteger), math.tointeger(0x1p63), math.tointeger('8')

--- returns 'nil': not a number is no integer, and has no sign
return math.tointeger(0/0)

--- returns 'nan, nan, nan,  nan': whatever made it
return tostring(0/0), tostring(-(0/0)), ('%f'):format(0/0), ('%4.1f'):format(-(0/0))

--- fails 'index is nil': no key that is nil
local t = {} t[nil] = 1

--- fails 'index is NaN': no key that is NaN
local t = {} rawset(t, 0/0, 1)

--- fails 'position out of bounds': insert before the table
table.insert({}, math.mininteger, 1)

--- fails 'position out of bounds': insert behind the table
table.insert({1}, math.maxinteger, 1)

--- fails 'position out of bounds': remove behind the table
table.remove({1}, math.maxinteger)

--- fails 'item 1 is a table': concat of a table
return table.concat({{}})

--- fails 'invalid use of '%' in replacement string': replacements end with a percent sign
return ('a'):gsub('a', '%')

--- fails 'invalid capture index %2': replacements name a capture that is not there
return ('a'):gsub('a', '%2')

--- fails 'invalid replacement value (a table)': replacements are texts
return ('a'):gsub('a', function() return {} end)

--- fails 'malformed pattern (ends with '%')': patterns end with a percent sign
return ('a'):find('%')

--- fails 'malformed pattern (missing ']')': a set without end
return ('a'):find('[a')

--- fails 'malformed pattern (missing ']')': a set that ends with a percent sign
return ('a'):find('[a%')

--- fails 'missing arguments to '%b'': a balance without characters
return ('a'):find('%b(')

--- fails 'missing '[' after '%f'': a frontier without set
return ('a'):find('%f')

--- fails 'unfinished capture': a capture without end
return ('a'):match('(a')

--- fails 'invalid pattern capture': a capture without begin
return ('a'):match('a)')

--- fails 'invalid capture index': a reference to what is not there
return ('a'):match('%1')

--- fails 'invalid capture index': a reference to what is open
return ('aa'):match('(a%1)')

--- returns 'false, test:3: deep': errors in callbacks are errors
return pcall(function()
  ('abc'):gsub('.', function() error('deep') end)
end)

--- returns 'true, false': what the callback of gsub does to the text does not matter
local s = ('abc'):rep(10)
local t = s:gsub('b', function() s = nil return ('x'):rep(1000) end)
return #t == 20 + 10 * 1000, s ~= nil

--- module returns '1, 1, 1': upvalues can be joined, but only by the script's own functions
local n = 1
return { run = function() return n, n, n end }

--- module fails 'no': an error while it is loaded
error('no')

--- module fails 'there is no global 'debug'': nothing else when it is loaded
return { run = debug.getinfo }

--- module fails 'cannot be set': no globals when it is loaded
function run() end
return { run = run }
