-- put: writes a document where the expectation holds.
-- KEYS[1] collection   ARGV now, key, expectation, end (`-` for none), value
-- Returns {1, version written, 1 where no other document of the collection has an end}, or {0, version found} (-1 where
-- nothing is). O(log documents).
local key, expect, ending = ARGV[2], ARGV[3], ARGV[4]
local version = version_of(key, expect)
if not holds(expect, version) then return { 0, version or -1 } end
-- What nobody has swept yet goes bit by bit, faster than it comes.
forget_expired(4)
local next = (version or 0) + 1
redis.call('HSET', documents, key, string.format('%d %s ', next, ending) .. ARGV[5])
redis.call('ZADD', keys, 0, key)
if ending == '-' then redis.call('ZREM', ends, key) else redis.call('ZADD', ends, ending, key) end
return { 1, next, (ending ~= '-' and redis.call('ZCARD', ends) == 1) and 1 or 0 }
