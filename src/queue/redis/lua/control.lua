-- control: pauses and limits of one shard. Wants prelude.lua and transition.lua.
-- KEYS[1] shard   ARGV time, what is asked and of what:
--   pause SCOPE | resume SCOPE | paused
--   limit_tenant TENANT JSON WEIGHT MOST MOST_WAITING MOST_BYTES, then KIND RATE MOST of each kind ('' for what is absent)
--   limits_of_tenant TENANT
--   limit_kind KIND JSON MOST | limits_of_kind KIND
-- Returns the scopes, or the JSON or nil, or nothing. O(lanes of the tenant), for a kind O(1).
--
-- What it writes and others read (absent fields mean what is said; a tenant or kind without limits has none of them):
--
-- P:tenant:<tenant>   limits         the JSON that Rust wrote, for reading back; absent = the defaults
--                     weight         1 to 1000; absent = 1
--                     most           jobs running at once, all kinds; absent = unlimited
--                     most_waiting   jobs at the door; absent = 100000 (TenantLimits::default), '-' = unlimited
--                     most_bytes     bytes at the door; absent = 1073741824, '-' = unlimited
--                     rate:<kind>    '<interval> <burst>': microseconds from token to token, tokens of a full bucket; absent = none
--                     most:<kind>    jobs of that kind running at once; absent = unlimited
-- P:kind:<kind>       limits         the JSON that Rust wrote, of the whole queue; absent = none
--                     most           this shard's share of the running jobs; absent = unlimited
-- P:paused            'everything', 'tenant:<tenant>', 'kind:<kind>'
--
-- What why.lua reads and claim.lua writes, of P:lane:<kind>:<tenant>:
--                     pace           microseconds from one start to the next, a moving average; absent = not known

local control = {}

function control.pause(scope)
    call('SADD', P .. ':paused', scope)
end

function control.resume(scope)
    if call('SREM', P .. ':paused', scope) == 0 then return end
    local what, name = string.match(scope, '^(%a+):?(.*)$')
    if what == 'tenant' then
        unhold(name)
    elseif what == 'kind' then
        wake(name)
    else
        for _, kind in ipairs(call('SMEMBERS', P .. ':kinds')) do wake(kind) end
    end
end

function control.paused()
    return call('SMEMBERS', P .. ':paused')
end

-- Writes a field, or removes it where it is absent.
local function put(key, field, value)
    if value == '' then call('HDEL', key, field) else call('HSET', key, field, value) end
end

-- Lets a bucket owe no more than its new rate could ever lend, from this very moment: done later, at the lane's next turn,
-- the wait until then would be owed as well.
local function clip(kind, tenant, rate)
    local lane = lane_of(kind, tenant)
    local interval, burst = string.match(rate, '^(%d+) (%d+)$')
    local empty = now + tonumber(interval) * tonumber(burst)
    if lane.bucket > empty then lane.bucket, lane.is_dirty = empty, true end
end

function control.limit_tenant(tenant)
    local key, throttled = P .. ':tenant:' .. tenant, {}
    for _, field in ipairs(call('HKEYS', key)) do
        local what, kind = string.match(field, '^(%a+):(.+)$')
        if what then call('HDEL', key, field) end
        -- Only a lane with a rate is ever parked for want of a token.
        if what == 'rate' then throttled[#throttled + 1] = kind end
    end
    for place, field in ipairs({'limits', 'weight', 'most', 'most_waiting', 'most_bytes'}) do
        put(key, field, ARGV[3 + place])
    end
    for place = 9, #ARGV, 3 do
        local kind, rate, most = ARGV[place], ARGV[place + 1], ARGV[place + 2]
        put(key, 'rate:' .. kind, rate)
        put(key, 'most:' .. kind, most)
        if rate ~= '' then clip(kind, tenant, rate) end
    end
    for _, kind in ipairs(throttled) do
        local lane = lane_of(kind, tenant)
        if lane.standing == 'p' then stand(lane, lane.w > 0 and 'r' or 'i') end
    end
    local load = tenant_of(tenant)
    load.is_limited, load.is_dirty = ARGV[4] ~= '', load.lanes > 0 or ARGV[4] ~= ''
    if not load.is_dirty then call('DEL', P .. ':load:' .. tenant) end
    unhold(tenant)
end

function control.limits_of_tenant(tenant)
    return call('HGET', P .. ':tenant:' .. tenant, 'limits')
end

function control.limit_kind(kind)
    local key = P .. ':kind:' .. kind
    put(key, 'limits', ARGV[4])
    put(key, 'most', ARGV[5])
    wake(kind)
end

function control.limits_of_kind(kind)
    return call('HGET', P .. ':kind:' .. kind, 'limits')
end

local answer = control[ARGV[2]](ARGV[3])
save()
wake_stirred()
return answer
