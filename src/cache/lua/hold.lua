-- hold: keeps the right to load for longer, or gives it back.
-- ARGV key, token, milliseconds from now; 0 gives it back
-- Returns 1 where the caller had it, else 0. O(1).

local lock = P .. ':l:' .. ARGV[1]
if read(lock) ~= ARGV[2] then return 0 end
if ARGV[3] == '0' then redis.call('DEL', lock) else redis.call('PEXPIRE', lock, ARGV[3]) end
return 1
