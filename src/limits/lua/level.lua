-- What is kept of one bucket, and how it changes: the same rules as `level.rs`, where they are explained.
--
-- KEYS[1]              string: full_at interval ends step [step:debt ...], all of them numbers; microseconds since 1970
-- KEYS[1] .. '!park'   string: until when nothing is let through
-- KEYS[1] .. '!' .. id string: step taken ends, of an open reservation
-- Each key ends by itself when it says nothing any more. What makes no sense counts as a full bucket.

local PRECISE = 9007199254740991 -- beyond this a Lua number is no exact integer
local MOST_LOWS = 32
local LONGEST = 315360000000 -- ten years, in milliseconds: what is asked of Redis for a key

local function integer(number)
  return string.format('%.0f', math.max(-PRECISE, math.min(number, PRECISE)))
end

-- The time that the caller gives, else the server's.
local function time(given)
  if given ~= '' then return tonumber(given) end
  local now = redis.call('TIME')
  return tonumber(now[1]) * 1000000 + tonumber(now[2])
end

-- `slack` is for callers with a clock of their own, which need not go as the server's does.
local function write(key, value, ends, now, slack)
  local left = math.ceil((ends - now) / 1000) + slack
  if left <= 0 then
    redis.call('DEL', key)
  else
    redis.call('SET', key, value, 'PX', integer(math.min(left, LONGEST)))
  end
end

local function load(key)
  local level = { full_at = 0, interval = 0, ends = 0, step = 0, lows = {} }
  local full_at, interval, ends, step, lows = string.match(read(key) or '', '^(%d+) (%d+) (%d+) (%d+)([ %d:]*)$')
  if full_at then
    level.full_at, level.interval = tonumber(full_at), tonumber(interval)
    level.ends, level.step = tonumber(ends), tonumber(step)
    for low_step, debt in string.gmatch(lows, ' (%d+):(%d+)') do
      level.lows[#level.lows + 1] = { tonumber(low_step), tonumber(debt) }
    end
  end
  return level
end

local function save(key, level, now, slack)
  local words = { integer(level.full_at), integer(level.interval), integer(level.ends), integer(level.step) }
  for _, low in ipairs(level.lows) do
    words[#words + 1] = integer(low[1]) .. ':' .. integer(low[2])
  end
  write(key, table.concat(words, ' '), math.max(level.full_at, level.ends), now, slack)
end

-- `ends` is when the last reservation that may be open expires.
local function note_low(level, now)
  if level.ends <= now then
    level.lows = {}
    return
  end
  level.step = level.step + 1
  local debt = math.max(0, level.full_at - now)
  while #level.lows > 0 and level.lows[#level.lows][2] >= debt do
    table.remove(level.lows)
  end
  level.lows[#level.lows + 1] = { level.step, debt }
  if #level.lows > MOST_LOWS then
    local lower = table.remove(level.lows, 1)
    level.lows[1][2] = lower[2]
  end
end

local function give_back(level, since, wish)
  local back = 0
  for _, low in ipairs(level.lows) do
    if low[1] > since then
      back = math.min(low[2], wish)
      break
    end
  end
  level.full_at = level.full_at - back
  local kept, least = {}, math.huge
  for place = #level.lows, 1, -1 do
    local low = level.lows[place]
    if low[1] > since then low[2] = low[2] - back end
    if low[2] < least then
      least = low[2]
      table.insert(kept, 1, low)
    end
  end
  level.lows = kept
end

-- How long nothing is let through yet.
local function parked(key, now)
  local till = tonumber(read(key .. '!park') or '')
  return till and math.max(0, till - now) or 0
end
