-- await: whether a claim for these kinds may get something; where not, puts the waiter to sleep.
-- KEYS[1] shard   ARGV time, sleeper (`<waiter> <kind> <kind>`), microseconds it sleeps at most, then kinds
-- Returns {1} where a claim may get something now, else {0, microseconds after which to look again}. One waiter of a kind
-- keeps its timer (`P:timer:<kind>`) and wakes when time brings something, the others sleep on. O(kinds log sleepers).

local sleeper, longest = ARGV[2], tonumber(ARGV[3])

-- When a claim of a kind may get something: 0 for now.
local function prospect(kind)
    local next_at = huge
    local function first(key)
        local found = call('ZRANGE', key, 0, 0, 'WITHSCORES')
        if found[2] then next_at = least(next_at, tonumber(found[2])) end
    end
    -- Of all kinds: a lapse in one may free a tenant's cap for another.
    first(P .. ':lease')
    if is_paused('everything') or is_paused('kind:' .. kind.name) then return huge end
    if room_of(kind) > 0 then
        if call('EXISTS', kind.ring) == 1 then return 0 end
        first(P .. ':parked:' .. kind.name)
        first(P .. ':due:' .. kind.name)
    end
    return next_at <= now and 0 or next_at
end

local times = {}
for place = 4, #ARGV do
    times[place] = prospect(kind_of(ARGV[place]))
    if times[place] == 0 then
        -- It may have kept timers: who sleeps on keeps them now.
        local _, left = take_off(sleeper)
        for _, name in ipairs(left) do wake(name, true) end
        return {1}
    end
end

local real, nap = server_time(), longest
for place = 4, #ARGV do
    local name = ARGV[place]
    local asleep, timer, at = P .. ':asleep:' .. name, P .. ':timer:' .. name, times[place]
    -- Longer than it sleeps: it looks again before that, unless it is dead.
    call('ZADD', asleep, real + longest + 2000000, sleeper)
    -- Those that died asleep go, and with the last of them the key.
    call('ZREMRANGEBYSCORE', asleep, '-inf', string.format('%.0f', real))
    call('PEXPIRE', asleep, string.format('%.0f', (longest + 3000000) / 1000))
    if at - now < longest then
        local kept = call('GET', timer)
        local planned, keeper = string.match(kept or '', '^(%S+) (.*)$')
        local is_kept = keeper and keeper ~= sleeper and tonumber(planned) <= at and call('ZSCORE', asleep, keeper)
        if not is_kept then
            local milliseconds = most_of(1, floor((at - now) / 1000) + 1000)
            call('SET', timer, string.format('%.0f ', at) .. sleeper, 'PX', string.format('%.0f', milliseconds))
            nap = least(nap, at - now)
        end
    end
end
return {0, nap}
