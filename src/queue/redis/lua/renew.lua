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
        local page, ids, ends, held, checks = open_page(name), {}, {}, {}, {}
        for number_of = 1, jobs do ids[number_of] = string.sub(ARGV[from + 2 * number_of - 2], 1, 16) end
        load_records(page, ids)
        for number_of = 1, jobs do
            local id, record, at = ids[number_of], page.records[ids[number_of]], first + 2 * number_of - 1
            local epoch, length, has_checkpoint = struct.unpack('>I8I8c1', ARGV[from + 2 * number_of - 2], 17)
            if record and record[STATE] == 'r' and record[EPOCH] == epoch and record[LEASE_UNTIL] > now then
                answers[at], answers[at + 1] = now + length, record[CANCEL_ASKED]
                if not held[id] then ends[#ends + 1] = id end
                held[id], record[LEASE_UNTIL] = now + length, now + length
                if has_checkpoint == 'c' then
                    checks[#checks + 1], checks[#checks + 2] = id, ARGV[from + 2 * number_of - 1]
                    add_flag(record, 'c')
                end
            else
                answers[at], answers[at + 1] = false, 0
            end
        end
        if #checks > 0 then write('HSET', P .. ':check:' .. name, checks) end
        -- Leases that end together stand together.
        local groups = {}
        for _, id in ipairs(ends) do
            local group = groups[held[id]] or {}
            group[#group + 1] = id
            groups[held[id]] = group
        end
        for until_, group in pairs(groups) do
            local claim = lease(until_, {group_of(name, group)}, #group)
            for _, id in ipairs(group) do
                local record = page.records[id]
                page.released[record[CLAIM]] = (page.released[record[CLAIM]] or 0) + 1
                record[CLAIM] = claim
                changed(page, id, record)
            end
        end
        close_page(page)
    end)
    if problem then
        for number_of = 1, 2 * jobs do answers[first + number_of] = false end
        troubles[#troubles + 1], troubles[#troubles + 2] = name, problem
    end
    place = from + 2 * jobs
end
save()
return {answers, troubles}
