-- settle: running -> completed | retrying | scheduled | dead | cancelled, where the lease holds.
-- KEYS[1] shard
-- ARGV time, then for each section: tenant, how many; for each settlement: job, epoch, fingerprint, verdict (the letter of
--      the state it asks for) and time (from now on where the server's clock rules) in 41 bytes; output (JSON, '' where it says nothing) or reason
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

-- Completes a job that has made no output and on which nothing hangs, without taking its record apart; whether it did.
local ended_at = struct.pack('>I8', now)
local function complete(page, raw, id, epoch, print)
    local bytes = raw[id]
    if not bytes or page.records[id] ~= nil or #bytes < HEAD_BYTES + 32 then return false end
    local is_fine, format, state, attempt, of_epoch, cancel_asked, until_, claim, started, _, _, _, _, events, tenths, logged,
        _, _, _, _, _, _, kind, _, _, _, flags, batch = pcall(struct.unpack, RECORD, bytes)
    if not is_fine or format ~= 1 or state ~= 'r' or of_epoch ~= epoch or until_ <= now or flags ~= '' or batch ~= ''
        or logged > 8 then
        return false
    end
    local done = struct.pack(HEAD, 1, 'c', attempt, epoch, cancel_asked, 0, 0, started, now, epoch, print, 'c', events + 1, tenths, logged + 1)
        .. string.sub(bytes, HEAD_BYTES + 1) .. struct.pack(LOG_ENTRY, events + 1, now, 'c', attempt, 0, '')
    raw[id] = done
    page.raws[#page.raws + 1], page.raws[#page.raws + 2] = id, done
    page.ended[#page.ended + 1] = ended_at .. id
    page.released[claim] = (page.released[claim] or 0) + 1
    page.kinds[kind] = (page.kinds[kind] or 0) - 1
    page.has_freed, page.finished = true, page.finished + 1
    local lane, tenant = lane_of(kind, page.name), page.tenant
    lane.r, lane.c, lane.is_dirty = most_of(lane.r - 1, 0), lane.c + 1, true
    tenant.running, tenant.is_dirty = tenant.running - 1, true
    page.lanes[lane] = true
    return true
end

while place <= #ARGV do
    local name, jobs, first = ARGV[place], tonumber(ARGV[place + 1]), #letters
    local from, page = place + 2, nil
    local problem = protected(function()
        page = open_page(name)
        local ids, raw = {}, {}
        for number_of = 1, jobs do ids[number_of] = string.sub(ARGV[from + 2 * number_of - 2], 1, 16) end
        local raws, heard = fetch(page.run, ids), listened(name)
        for number_of = 1, jobs do raw[ids[number_of]] = raws[number_of] end
        for number_of = 1, jobs do
            local head, text = ARGV[from + 2 * number_of - 2], ARGV[from + 2 * number_of - 1]
            local epoch, print, verdict, at = struct.unpack('>I8c8c1I8', head, 17)
            local id = ids[number_of]
            if ARGV[1] == '' then at = least(now + at, 2 ^ 53) end
            if verdict == 'c' and text == '' and not heard and complete(page, raw, id, epoch, print) then
                letters[first + number_of] = 'c'
            else
                if page.records[id] == nil then page.records[id] = unpack_record(raw[id]) end
                letters[first + number_of] = settle(page, id, epoch, print, verdict, at, text)
            end
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
