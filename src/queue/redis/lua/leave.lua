-- leave: a waiter that sleeps no more goes, and passes on what it had: a call to wake that it did not hear, a timer.
-- KEYS[1] shard   ARGV time, sleeper (`<waiter> <kind> <kind>`), then kinds
-- Returns nothing. O(kinds log sleepers).

local sleeper = ARGV[2]
local waiter = string.match(sleeper, '^%S+')
for place = 3, #ARGV do
    local name = ARGV[place]
    local was_asleep = call('ZREM', P .. ':asleep:' .. name, sleeper) == 1
    local kept = call('GET', P .. ':timer:' .. name)
    local is_keeper = kept and string.match(kept, '^%S+ (.*)$') == sleeper
    if is_keeper then call('DEL', P .. ':timer:' .. name) end
    if is_keeper or not was_asleep then wake(name, is_keeper) end
end
call('DEL', P .. ':wake:' .. waiter)
return false
