-- now: the time by which the collection's documents end.
-- KEYS[1] collection   ARGV now
-- Returns it in microseconds since 1970, as text: a number may have fewer digits. O(1).
return string.format('%.0f', now)
