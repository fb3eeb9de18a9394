-- publish: events of running jobs.
-- KEYS[1] shard   ARGV now, then for each event: tenant, id (16 bytes), epoch, tenths (the percentage; empty for what
-- has none), and what happened as JSON without braces: where there are tenths in two pieces, around the percentage.
-- What belongs to a lease that does not hold, or to a record that can't be read, is dropped.
-- Returns how many were published. O(events).

local now = clock()
local published = 0
local jobs, order = {}, {}

for at = 2, #ARGV, 6 do
    local tenant, id, epoch, reached = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
    local name = tenant .. ':' .. id
    local job = jobs[name]
    if job == nil then
        job = false
        local packed = redis.pcall('HGET', P .. ':run:' .. tenant, id)
        if type(packed) == 'string' then
            local record = unpack_record(packed)
            if record then
                job = { record = record, tenant = tenant, id = id }
                order[#order + 1] = job
            end
        end
        jobs[name] = job
    end
    if job and job.record[STATE] == 'r' and job.record[EPOCH] == epoch then
        local record = job.record
        local event = ARGV[at + 4]
        if reached then
            reached = math.max(reached, record[TENTHS])
            record[TENTHS] = reached
            event = event .. string.format('%.1f', reached / 10) .. ARGV[at + 5]
        end
        local sequence = record[EVENTS] + 1
        record[EVENTS] = sequence
        append_event(record, 'e', tenant, id, sequence, now, event)
        tell(tenant, id, sequence, now, event)
        job.changed = true
        published = published + 1
    end
end

for _, job in ipairs(order) do
    if job.changed then
        trim_events(job.record, job.tenant, job.id)
        call('HSET', P .. ':run:' .. job.tenant, job.id, pack_record(job.record))
    end
end
return published
