-- fetch: an entry; where there is none and a token is given, the right to load it.
-- ARGV key, token or '', milliseconds that the right holds
-- Returns {1, value, milliseconds left} | {0, generation, 0} nobody asked for the right | {2, generation, 0} it is given
-- | {3, generation, milliseconds} somebody else has it for so long. O(1).

local name, token = ARGV[1], ARGV[2]
local value = read(P .. ':v:' .. name)
if value then return { 1, value, redis.call('PTTL', P .. ':v:' .. name) } end
local generation = read(P .. ':g') or ''
if token == '' then return { 0, generation, 0 } end
local lock = P .. ':l:' .. name
if redis.call('SET', lock, token, 'NX', 'PX', ARGV[3]) then return { 2, generation, 0 } end
local left = redis.call('PTTL', lock)
-- One without an end is none of ours.
if left < 0 then redis.call('PEXPIRE', lock, ARGV[3]) end
return { 3, generation, math.max(left, 1) }
