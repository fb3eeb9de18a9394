-- park: lets nothing through for a time; of two times the later wins. With no time it only tells.
-- KEYS[1] the bucket   ARGV now or '', slack, microseconds or ''
-- Returns the microseconds for which nothing is let through yet. O(1).

local key, now, slack = KEYS[1], time(ARGV[1]), tonumber(ARGV[2])
local stop = parked(key, now)
local wish = tonumber(ARGV[3])
if wish and wish > stop then
  stop = wish
  write(key .. '!park', integer(now + wish), now + wish, now, slack)
end
return tonumber(integer(stop))
