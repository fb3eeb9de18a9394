-- settle: running -> completed | retrying | scheduled | dead | cancelled, where the lease holds.
-- KEYS[1] shard
-- ARGV time, then for each section: tenant; jobs that are done and have nothing to say, each once (job, epoch, fingerprint:
--      32 bytes each, together); how many others; for each of these: job, epoch, fingerprint, verdict (the letter of the
--      state it asks for) and time (from now on where the server's clock rules) in 41 bytes; output (JSON, '' where it says nothing) or reason
-- Returns {one letter a settlement: the state the job is in, or `-` where the lease was gone; tenant, problem of each that
--      failed}. Repeated settlements are answered as they were. O(jobs).

local letters, troubles, place = {}, {}, 2
local sub = string.sub

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

-- How the record of a job begins that was claimed with the one before it and ends as that did: most of a batch. What is
-- taken apart and put together once serves for all of them.
local like = {length = 0}

-- Takes the beginning of a record apart: what a record that begins so becomes; nothing where it must be looked at closely.
local function likeness(bytes, lease)
    local is_fine, format, state, attempt, of_epoch, cancel_asked, until_, claim, started, _, _, _, _, events, tenths, logged,
        flags, kind, behind = pcall(struct.unpack, START, bytes)
    local epoch, print = struct.unpack('>I8c8', lease)
    if not is_fine or format ~= 1 or state ~= 'r' or of_epoch ~= epoch or until_ <= now or flags ~= '' or logged > 8 then
        return nil
    end
    return {
        length = behind - 1, start = string.sub(bytes, 1, behind - 1), lease = lease, claim = claim, kind = kind,
        head = struct.pack(HEAD, 1, 'c', attempt, epoch, cancel_asked, 0, 0, started, now, epoch, print, 'c', events + 1, tenths, logged + 1),
        entry = struct.pack(LOG_ENTRY, events + 1, now, 'c', attempt, 0, ''),
    }
end

-- Completes a job that has made no output and on which nothing hangs, without taking its record apart; whether it did.
-- `lease` are its epoch and its verdict's fingerprint.
local function complete(page, bytes, id, lease)
    if not bytes or #bytes < HEAD_BYTES + 32 then return false end
    if like.lease ~= lease or sub(bytes, 1, like.length) ~= like.start then
        like = likeness(bytes, lease) or {length = 0}
        if like.length == 0 then return false end
    end
    local raws, ended = page.raws, page.ended
    local at = #raws
    raws[at + 1], raws[at + 2] = id, like.head .. sub(bytes, HEAD_BYTES + 1) .. like.entry
    ended[#ended + 1] = id
    local claim, kind = like.claim, like.kind
    page.released[claim] = (page.released[claim] or 0) + 1
    page.kinds[kind] = (page.kinds[kind] or 0) - 1
    page.quick[kind] = (page.quick[kind] or 0) + 1
    return true
end

local function ids_of(done)
    local ids = {}
    for at = 1, #done, 32 do ids[#ids + 1] = sub(done, at, at + 15) end
    return ids
end

local function section(page, name, done, others, from, first)
    local ids, raws, heard = ids_of(done), nil, listened(name)
    page.quick = {}
    if #ids > 0 then raws = fetch(page.run, ids) end
    for number_of, id in ipairs(ids) do
        local lease = sub(done, 32 * number_of - 15, 32 * number_of)
        if not heard and complete(page, raws[number_of], id, lease) then
            letters[first + number_of] = 'c'
        else
            local epoch, print = struct.unpack('>I8c8', lease)
            page.records[id] = unpack_record(raws[number_of])
            letters[first + number_of] = settle(page, id, epoch, print, 'c', 0, '')
        end
    end
    for kind, jobs in pairs(page.quick) do
        local lane, tenant = lane_of(kind, name), page.tenant
        lane.r, lane.c, lane.is_dirty = most_of(lane.r - jobs, 0), lane.c + jobs, true
        tenant.running, tenant.is_dirty = tenant.running - jobs, true
        page.lanes[lane], page.has_freed, page.finished = true, true, page.finished + jobs
    end
    local other = {}
    for number_of = 1, others do other[number_of] = string.sub(ARGV[from + 2 * number_of - 2], 1, 16) end
    load_records(page, other)
    for number_of = 1, others do
        local head, text = ARGV[from + 2 * number_of - 2], ARGV[from + 2 * number_of - 1]
        local epoch, print, verdict, at = struct.unpack('>I8c8c1I8', head, 17)
        if ARGV[1] == '' then at = least(now + at, 2 ^ 53) end
        letters[first + #ids + number_of] = settle(page, other[number_of], epoch, print, verdict, at, text)
    end
    close_page(page)
end

while place <= #ARGV do
    local name, done, others, first = ARGV[place], ARGV[place + 1], tonumber(ARGV[place + 2]), #letters
    local page
    local problem = protected(function()
        page = open_page(name)
        section(page, name, done, others, place + 3, first)
    end)
    if problem then
        if page then forget_page(page) end
        for number_of = 1, #done / 32 + others do letters[first + number_of] = '-' end
        troubles[#troubles + 1], troubles[#troubles + 2] = name, problem
    end
    place = place + 3 + 2 * others
end
save()
wake_stirred()
return {table.concat(letters), troubles}
