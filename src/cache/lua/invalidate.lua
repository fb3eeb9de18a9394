-- invalidate: removes entries, a bounded batch a call.
-- ARGV pattern, 'one' | 'many', cursor ('0' at first)
-- Returns the next cursor, '0' at the end. O(batch).

local pattern, index, next = ARGV[1], P .. ':i', '0'
if ARGV[3] == '0' then
  -- What is being loaded now will not be written.
  expect(P .. ':g', 'string')
  if not tonumber(redis.call('GET', P .. ':g') or '0') then redis.call('DEL', P .. ':g') end
  redis.call('INCR', P .. ':g')
  redis.call('PEXPIRE', P .. ':g', 86400000)
end
expect(index, 'zset')
if ARGV[2] == 'one' then
  redis.call('DEL', P .. ':v:' .. pattern)
  redis.call('ZREM', index, pattern)
else
  local found = redis.call('ZSCAN', index, ARGV[3], 'MATCH', pattern, 'COUNT', 500)
  next = found[1]
  for place = 1, #found[2], 2 do
    redis.call('DEL', P .. ':v:' .. found[2][place])
    redis.call('ZREM', index, found[2][place])
  end
end
return next
