-- take, reserve and level: takes the cost where it is there; with an id leaves a reservation; `peek` takes nothing.
-- So many calls with this cost, one after the other in this one moment: at most 64; with an id or `peek` one.
-- KEYS[1] the bucket   ARGV now or '', slack, interval, burst, cost, 'take' | 'peek', id or '', hold, calls
-- Returns for each call: allowed, remaining, microseconds to wait, microseconds until full, microseconds parked. O(calls): at
-- most 32 lows each.

local key, now, slack = KEYS[1], time(ARGV[1]), tonumber(ARGV[2])
local interval, burst, cost = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local peek, id, hold, calls = ARGV[6] == 'peek', ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])
local tolerance = interval * burst

local level = load(key)
local changed = level.interval ~= interval
if changed then
  if level.interval ~= 0 then
    -- The rate was changed: a debt is cut to what the new one could have, and nothing goes back of the old.
    level.full_at = math.min(level.full_at, now + tolerance)
    level.step = level.step + 1
    level.lows = { { level.step, 0 } }
  end
  level.interval = interval
end

local stop = parked(key, now)
local answers = {}
for _ = 1, calls do
  local base = math.max(level.full_at, now)
  local wait = math.max(0, base - now + interval * math.min(cost, burst) - tolerance)
  local allowed = wait == 0 and stop == 0
  if allowed and not peek then
    note_low(level, now)
    level.full_at = base + interval * cost
    if id ~= '' then
      local ends = now + hold
      level.ends = math.max(level.ends, ends)
      write(key .. '!' .. id, integer(level.step) .. ' ' .. integer(interval * cost) .. ' ' .. integer(ends), ends, now, slack)
    end
    changed = true
  end
  local debt = math.max(0, level.full_at - now)
  local remaining = math.min(burst, math.floor(math.max(0, tolerance - debt) / interval))
  for _, number in ipairs({ allowed and 1 or 0, remaining, math.max(wait, stop), debt, stop }) do
    answers[#answers + 1] = tonumber(integer(number))
  end
end
-- Also where all are refused: a debt that was cut must not be cut anew, from a later now, each time.
if changed and not peek and stop == 0 then save(key, level, now, slack) end
return answers
