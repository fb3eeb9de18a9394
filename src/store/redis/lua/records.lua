-- What all scripts of the records share; put in front of each.
--
-- KEYS[1] is P, the hash tag of one collection; every other key is made from it and shares its slot:
--   P:documents  hash key -> "<version> <end> <value>": the end in microseconds since 1970, `-` for none
--   P:keys       zset of keys, all with score 0: the order of their bytes
--   P:ends       zset key -> end, of those that have one
-- ARGV[1] is the time in microseconds; empty where the server's own clock rules.
local P = KEYS[1]
local documents, keys, ends = P .. ':documents', P .. ':keys', P .. ':ends'

local now
if ARGV[1] == '' then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
else
  now = tonumber(ARGV[1])
end

-- The version and the end (nil for none) of a document, as it is stored.
local function head(document)
  local version, ending = string.match(document, '^(%d+) (%S+) ')
  if not version then error({ err = 'CORRUPT the records hold a document without a head' }) end
  return tonumber(version), tonumber(ending)
end

-- The document and its version; nothing where there is none, or no longer.
local function live(key)
  local document = redis.call('HGET', documents, key)
  if not document then return nil end
  local version, ending = head(document)
  if ending and ending <= now then return nil end
  return document, version
end

-- The version that is there, for who expects `any`, `none` or a version. Whoever takes anything may also write over what
-- can't be read, or remove it: nobody else could mend it. That has version 0.
local function version_of(key, expect)
  if expect == 'any' and not pcall(live, key) then return 0 end
  local _, version = live(key)
  return version
end

local function forget(key)
  redis.call('HDEL', documents, key)
  redis.call('ZREM', keys, key)
  redis.call('ZREM', ends, key)
end

-- Removes at most `most` documents whose end has come; answers how many. O(most * log documents).
local function forget_expired(most)
  local expired = redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, most)
  for _, key in ipairs(expired) do forget(key) end
  return #expired
end

-- Whether an expectation (`any`, `none` or a version) holds for the version that is there.
local function holds(expect, version)
  if expect == 'any' then return true end
  if expect == 'none' then return version == nil end
  return version == tonumber(expect)
end
