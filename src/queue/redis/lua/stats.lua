-- stats: counts of lanes.
-- KEYS[1] shard   ARGV time (unused), then kind and tenant of each lane
-- Returns an array a lane: its jobs in each state, in the order of the states, and when the oldest of those that wait was to
-- run (nil where none waits). Of a long lane it looks at the first LOOKS of each priority: who has run or was delayed may
-- stand behind them and be older. O(lanes * LOOKS).

local LOOKS = 50

-- When the first of a list was to run: those that have run or were delayed say so, of the others the first is the oldest.
local function oldest_of(tenant, ids)
    if #ids == 0 then return nil end
    local records, oldest, is_first = call('HMGET', P .. ':run:' .. tenant, unpack(ids)), nil, true
    for place, id in ipairs(ids) do
        local record, time = record_of(records[place]), nil
        if record then
            time = record[RUN_AT]
        elseif record == nil and is_first then
            is_first = false
            local body = call('HGET', P .. ':job:' .. tenant, id)
            time = body and #body >= 8 and struct.unpack('>I8', body)
        end
        if time and (not oldest or time < oldest) then oldest = time end
    end
    return oldest
end

local answers = {}
for place = 2, #ARGV, 2 do
    local kind, tenant = ARGV[place], ARGV[place + 1]
    local lane = P .. ':lane:' .. kind .. ':' .. tenant
    local counts = unpack_lane(call('GET', lane))
    local answer = {counts.s, counts.w, counts.b, counts.r, counts.t, counts.c, counts.x, counts.d}
    local waiting, oldest = counts.w, nil
    for rank = 0, waiting > 0 and 3 or -1 do
        for _, ids in ipairs({
            call('ZRANGE', lane .. ':back' .. rank, 0, LOOKS - 1), call('LRANGE', lane .. ':' .. rank, 0, LOOKS - 1),
        }) do
            local time = oldest_of(tenant, ids)
            if time and (not oldest or time < oldest) then oldest = time end
        end
    end
    answer[9] = oldest or false
    answers[#answers + 1] = answer
end
return answers
