-- sweep: removes documents of one collection whose end has come.
-- KEYS[1] collection   ARGV now, most
-- Returns how many. O(most * log documents).
return forget_expired(tonumber(ARGV[2]))
