-- get: the document under a key, or nothing.
-- KEYS[1] collection   ARGV now, key
-- Returns the document as it is stored, or nil. O(1).
return (live(ARGV[2]))
