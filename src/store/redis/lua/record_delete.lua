-- delete: removes a document where the expectation holds.
-- KEYS[1] collection   ARGV now, key, expectation
-- Returns {1, 1 where something was there, else 0}, or {0, version found} (-1 where nothing is). O(log documents).
local key = ARGV[2]
local version = version_of(key, ARGV[3])
if not holds(ARGV[3], version) then return { 0, version or -1 } end
-- Also where it has expired and nobody has swept it yet.
forget(key)
return { 1, version and 1 or 0 }
