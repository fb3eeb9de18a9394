-- The keys of one tenant's entries. KEYS[1] is its hash tag, `P` below, and names no key itself.
--
-- P:v:<key>   string: an entry, with its end
-- P:l:<key>   string: the token of whoever is loading the entry; ends by itself where that one has crashed
-- P:i         zset of keys by their ends in milliseconds: the index for patterns, and the bound on entries
-- P:g         number of invalidations; a day after the last one it ends

local P = KEYS[1]

-- Puts something else than the type away, so that a spoilt key does no harm.
local function expect(key, kind)
  local found = redis.call('TYPE', key).ok
  if found ~= kind and found ~= 'none' then redis.call('DEL', key) end
end
