-- renew: prolongs leases that hold, and keeps checkpoints.
-- KEYS[1] shard
-- ARGV time, then for each section: tenant, how many; for each renewal: job, epoch, microseconds, and `c` where there is
--      a checkpoint (else `-`) in 33 bytes; the checkpoint or ''
-- Returns {for each renewal until when it holds (nil where it is lost) and whether somebody has asked to cancel; tenant,
--      problem of each that failed}. O(jobs log leases).

local answers, troubles, place = {}, {}, 2

while place <= #ARGV do
    local name, jobs, first = ARGV[place], tonumber(ARGV[place + 1]), #answers
    local from = place + 2
    local problem = protected(function()
        local page, ids, leases, checks = open_page(name), {}, {}, {}
        for number_of = 1, jobs do ids[number_of] = string.sub(ARGV[from + 2 * number_of - 2], 1, 16) end
        load_records(page, ids)
        for number_of = 1, jobs do
            local id, record, at = ids[number_of], page.records[ids[number_of]], first + 2 * number_of - 1
            local epoch, length, has_checkpoint = struct.unpack('>I8I8c1', ARGV[from + 2 * number_of - 2], 17)
            local lease = record and record[STATE] == 'r' and record[EPOCH] == epoch and call('ZSCORE', P .. ':lease', id .. name)
            if lease and tonumber(lease) > now then
                leases[#leases + 1], leases[#leases + 2] = now + length, id .. name
                answers[at], answers[at + 1] = now + length, record[CANCEL_ASKED] and 1 or 0
                if has_checkpoint == 'c' then
                    checks[#checks + 1], checks[#checks + 2] = id, ARGV[from + 2 * number_of - 1]
                    if not has(record, 'c') then
                        add_flag(record, 'c')
                        changed(page, id, record)
                    end
                end
            else
                answers[at], answers[at + 1] = false, 0
            end
        end
        if #checks > 0 then write('HSET', P .. ':check:' .. name, checks) end
        close_page(page)
        write('ZADD', P .. ':lease', leases)
    end)
    if problem then
        for number_of = 1, 2 * jobs do answers[first + number_of] = false end
        troubles[#troubles + 1], troubles[#troubles + 2] = name, problem
    end
    place = from + 2 * jobs
end
return {answers, troubles}
