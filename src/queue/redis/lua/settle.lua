-- settle: running -> completed | retrying | scheduled | dead | cancelled, where the lease holds.
-- KEYS[1] shard
-- ARGV time, then for each section: tenant, how many; for each settlement: job, epoch, fingerprint, verdict (the letter of
--      the state it asks for) and time in 41 bytes; output (JSON, '' where it says nothing) or reason
-- Returns {one letter a settlement: the state the job is in, or `-` where the lease was gone; tenant, problem of each that
--      failed}. Repeated settlements are answered as they were. O(jobs).

local letters, troubles, place = {}, {}, 2

local function settle(page, id, epoch, print, verdict, at, text)
    local record = page.records[id]
    if not record then return '-' end
    if record[STATE] ~= 'r' or record[EPOCH] ~= epoch or record[LEASE_UNTIL] <= now then
        local is_known = record[SETTLED_EPOCH] == epoch and record[SETTLED_PRINT] == print
        return is_known and record[SETTLED_STATE] or '-'
    end
    local to, reason = verdict, nil
    if verdict == 't' or verdict == 's' then
        if record[CANCEL_ASKED] == 1 then
            to = 'x'
        elseif verdict == 't' and record[ATTEMPT] >= record[MOST_ATTEMPTS] then
            to = 'd'
        else
            record[RUN_AT] = at
        end
    end
    if verdict == 't' or verdict == 'd' then
        reason = text
        record[REASON] = '=' .. text
    elseif verdict == 'c' and text ~= '' then
        page.outputs[#page.outputs + 1], page.outputs[#page.outputs + 2] = id, text
        add_flag(record, 'o')
    end
    record[SETTLED_EPOCH], record[SETTLED_PRINT], record[SETTLED_STATE] = epoch, print, to
    move(page, id, record, to)
    -- The event tells of the attempt that a snooze takes off again.
    note_state(record, page.name, id, now, reason)
    if to == 's' then record[ATTEMPT] = most_of(record[ATTEMPT] - 1, 0) end
    return to
end

while place <= #ARGV do
    local name, jobs, first = ARGV[place], tonumber(ARGV[place + 1]), #letters
    local from, page = place + 2, nil
    local problem = protected(function()
        page = open_page(name)
        local ids = {}
        for number_of = 1, jobs do ids[number_of] = string.sub(ARGV[from + 2 * number_of - 2], 1, 16) end
        load_records(page, ids)
        for number_of = 1, jobs do
            local head, text = ARGV[from + 2 * number_of - 2], ARGV[from + 2 * number_of - 1]
            local epoch, print, verdict, at = struct.unpack('>I8c8c1I8', head, 17)
            letters[first + number_of] = settle(page, ids[number_of], epoch, print, verdict, at, text)
        end
        close_page(page)
    end)
    if problem then
        if page then forget_page(page) end
        for number_of = 1, jobs do letters[first + number_of] = '-' end
        troubles[#troubles + 1], troubles[#troubles + 2] = name, problem
    end
    place = from + 2 * jobs
end
save()
wake_stirred()
return {table.concat(letters), troubles}
