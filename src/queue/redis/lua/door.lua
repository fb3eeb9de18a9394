-- The door for one job with more to it than its payload. Wants ties.lua.

local MOST_DEPENDENTS = 1000

local function payload_of(body)
    return #body + 16 - struct.unpack('>I2', body, 2)
end

-- The job in whose unique window a new one would come: that of the same key that was accepted last, where it counts still.
local function rival(page, name, window)
    local id = call('HGET', P .. ':only:' .. page.name, name)
    if not id then return nil end
    load_records(page, {id})
    local record = page.records[id]
    local state = record and record[STATE]
    if record == nil then state = call('HEXISTS', P .. ':job:' .. page.name, id) == 1 and 'w' end
    if not state or FINAL[state] or (state == 'r' and window == 'w') then return nil end
    return id
end

-- Lets a job in. `run_at` may be ''; `key` is its idempotency key or ''; `unique` the letter of its window (w or u) and its
-- unique key, or ''; `after` the ids of the jobs before it, together; `batch` its batch or ''; `follows` the batch whose
-- callback it is, or nothing.
-- Answers 1 accepted, 2 there already, 3 too many, 4 too large, or 5 unreadable; the id of another that is there already; or
-- a word of what is wrong: `u` and the id of a job that is not there, `m` and that of one for which too many wait, `n` for
-- a batch that is not open, `f` and the size of one that is full.
local function admit(page, kind, rank, id, body, run_at, key, unique, after, batch_id, follows)
    local tenant, name, jobs = page.tenant, page.name, P .. ':job:' .. page.name
    if call('HEXISTS', jobs, id) == 1 then return 2 end
    local keys, named = P .. ':key:' .. name, kind .. ':' .. key
    local holder = key ~= '' and call('HGET', keys, named)
    local unique_name = kind .. ':' .. string.sub(unique, 2)
    if not holder and unique ~= '' then holder = rival(page, unique_name, string.sub(unique, 1, 1)) end
    if holder then return holder end
    local pending, first_of = {follows or false}, {}
    for place = 1, #after, 16 do
        local first = string.sub(after, place, place + 15)
        load_records(page, {first})
        local record = page.records[first]
        if record == nil then record = fresh(call('HGET', jobs, first)) end
        if not record then return 'u' .. first end
        if record[STATE] ~= 'c' then
            if call('SCARD', after_of(page, first)) >= MOST_DEPENDENTS then return 'm' .. first end
            pending[#pending + 1], first_of[first] = first, record
        end
    end
    local batch
    if batch_id ~= '' then
        batch = batch_of(page, batch_id)
        if not batch then return 'n' end
        if batch[ENQUEUED] >= batch[SIZE] then return 'f' .. string.format('%.0f', batch[SIZE]) end
    end
    if tenant.waiting >= tenant.most_waiting then return 3 end
    if tenant.bytes + payload_of(body) > tenant.most_bytes then return 4 end

    local lane = lane_of(kind, name)
    local sequence = call('INCR', P .. ':sequence')
    local stored = struct.pack('>I8I8', now, sequence) .. body
    local record = fresh(stored)
    if not record then return 5 end
    call('XADD', P .. ':index:' .. name, string.format('%.0f-0', sequence), '', id)
    local at = tonumber(run_at)
    if at then record[RUN_AT] = at end
    if follows then record[FOLLOWS] = follows end
    if #pending > 1 or follows then
        record[STATE] = 'b'
        call('HSET', P .. ':waits:' .. name, id, cmsgpack.pack(pending))
        for place = 2, #pending do
            local first = pending[place]
            call('SADD', after_of(page, first), id)
            if not has(first_of[first], 'a') or page.records[first] == nil then
                add_flag(first_of[first], 'a')
                changed(page, first, first_of[first])
            end
        end
    elseif at and at > now then
        record[STATE] = 's'
        call('ZADD', P .. ':due:' .. kind, at, id .. name)
        TIMED[kind] = least(TIMED[kind] or huge, at)
    else
        call('RPUSH', lane.key .. ':' .. rank, id)
        STIRRED[kind] = true
    end
    -- One that waits in its lane and asked for no time needs no record yet.
    if at or record[STATE] ~= 'w' then changed(page, id, record) end
    call('HSET', jobs, id, stored)
    if key ~= '' then call('HSET', keys, named, id) end
    if unique ~= '' then call('HSET', P .. ':only:' .. name, unique_name, id) end
    if batch then
        batch[ENQUEUED] = batch[ENQUEUED] + 1
        page.changed_batches[batch_id] = true
    end
    count(lane, tenant, record, nil, record[STATE])
    page.lanes[lane] = true
    settle_standing(lane)
    return 1
end
