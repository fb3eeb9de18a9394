-- store: writes an entry, unless something of the tenant was invalidated since the caller looked; gives the right to load back.
-- ARGV key, value, milliseconds to live, generation or '*' for "in any case", token or '', most entries
-- Returns 1 where it was written, else 0. O(log entries); removes a bounded number of others.

local name, lives, most = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[6])
if ARGV[5] ~= '' and read(P .. ':l:' .. name) == ARGV[5] then redis.call('DEL', P .. ':l:' .. name) end
if ARGV[4] ~= '*' and (read(P .. ':g') or '') ~= ARGV[4] then return 0 end

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local index = P .. ':i'
expect(index, 'zset')
redis.call('SET', P .. ':v:' .. name, ARGV[2], 'PX', lives)
redis.call('ZADD', index, now + lives, name)
-- Those that have ended are in the index only.
for _, ended in ipairs(redis.call('ZRANGE', index, '-inf', now, 'BYSCORE', 'LIMIT', 0, 100)) do
  redis.call('ZREM', index, ended)
end
-- Those that end first make room.
local over = math.min(redis.call('ZCARD', index) - most, 100)
if over > 0 then
  for _, first in ipairs(redis.call('ZRANGE', index, 0, over - 1)) do
    redis.call('DEL', P .. ':v:' .. first)
    redis.call('ZREM', index, first)
  end
end
if redis.call('PTTL', index) < lives then redis.call('PEXPIRE', index, lives) end
return 1
