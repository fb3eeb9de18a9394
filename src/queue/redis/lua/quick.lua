-- quick: the door for one plain job whose lane is busy, and where nobody sleeps: most of those that come one by one. Stands before all that enqueue.lua is made of, so that such a job does not pay for it; anything
-- out of the ordinary is left to what follows, untouched. Offsets are those of LANE and LOAD (prelude.lua). O(1).

if #ARGV == 11 and ARGV[6] == '2' and ARGV[7] == 'p' and KEYS[1] then
    local P, tenant, kind, id, body = KEYS[1], ARGV[2], ARGV[5], ARGV[10], ARGV[11]
    local lane_key, load_key = P .. ':lane:' .. kind .. ':' .. tenant, P .. ':load:' .. tenant
    local packed = redis.call('MGET', lane_key, load_key)
    local lane, load = packed[1], packed[2]
    -- Busy is what is not idle and has jobs waiting.
    if lane and load and #lane == 86 and #load == 27 and string.byte(lane) ~= 105 then
        local limits = {}
        if string.byte(load, 22) == 1 then
            limits = redis.pcall('HMGET', P .. ':tenant:' .. tenant, 'most_waiting', 'most_bytes')
        end
        local most_waiting, most_bytes = limits[1] or '100000', limits[2] or '1073741824'
        local waiting_here = struct.unpack('>I4', lane, 6)
        local waiting, bytes = struct.unpack('>I5I7', load, 6)
        local size = tonumber(ARGV[9])
        if not limits.err and waiting_here > 0 and waiting < (tonumber(most_waiting) or math.huge)
            and bytes + size <= (tonumber(most_bytes) or math.huge)
            and redis.call('EXISTS', P .. ':asleep:' .. kind) == 0 then
            local now, sequence, jobs, list = ARGV[1], redis.call('INCR', P .. ':sequence'), P .. ':job:' .. tenant, lane_key .. ':2'
            if now == '' then
                local time = redis.call('TIME')
                now = time[1] * 1000000 + time[2]
            end
            if redis.pcall('HSETNX', jobs, id, struct.pack('>I8I8', tonumber(now), sequence) .. body) == 1 then
                local pushed = redis.pcall('RPUSH', list, id)
                local noted = type(pushed) == 'number'
                    and redis.pcall('XADD', P .. ':index:' .. tenant, string.format('%.0f-0', sequence), '', id)
                if type(noted) == 'string' then
                    redis.call('SETRANGE', lane_key, 5, struct.pack('>I4', waiting_here + 1))
                    redis.call('SETRANGE', load_key, 5, struct.pack('>I5I7', waiting + 1, bytes + size))
                    return {{most_waiting, most_bytes, 1}}
                end
                -- What can't be used is told by what follows.
                redis.call('HDEL', jobs, id)
                if type(pushed) == 'number' then redis.call('RPOP', list) end
            end
        end
    end
end
