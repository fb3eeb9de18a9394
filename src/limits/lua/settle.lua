-- settle: gives back what a reservation took too much, takes what it took too little. Once: the reservation is gone then.
-- KEYS[1] the bucket   ARGV now or '', slack, id, the actual cost in microseconds
-- Returns 1, or 0 where the reservation was settled before or has expired. O(1).

local key, now, slack = KEYS[1], time(ARGV[1]), tonumber(ARGV[2])
local mine = key .. '!' .. ARGV[3]
local step, taken, ends = string.match(read(mine) or '', '^(%d+) (%d+) (%d+)$')
if not step then return 0 end
redis.call('DEL', mine)
if tonumber(ends) <= now then return 0 end

local level = load(key)
note_low(level, now)
local less = tonumber(taken) - tonumber(ARGV[4])
if less < 0 then
  level.full_at = math.max(level.full_at, now) - less
else
  give_back(level, tonumber(step), less)
end
save(key, level, now, slack)
return 1
