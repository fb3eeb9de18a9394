-- sweep: returns lapsed leases to their lanes; finished jobs -> (nothing), and lanes that nobody needs.
-- KEYS[1] shard   ARGV time, the time before which jobs must have ended, how many of each tenant stay or ''
-- Returns {leases that had lapsed, jobs and batches removed, tenant, problem of each that failed}. O(jobs log jobs), bounded.

local MOST_REMOVED, MOST_LOOKED, MOST_FORGOTTEN, MOST_TENANTS = 500, 2000, 500, 10000

local before, most_kept = tonumber(ARGV[2]), tonumber(ARGV[3])
local troubles, removed, looked = {}, 0, 0
local function trouble(tenant, problem)
    troubles[#troubles + 1], troubles[#troubles + 2] = tenant, problem
end
local lapsed = lapse(now, MOST_REMOVED, trouble)

-- The idempotency key and the unique key in a body (body.rs), where it has them.
local function keys_of(body)
    local flags, length = string.byte(body, 20), string.byte(body, 32)
    local kind, at = string.sub(body, 33, 32 + length), 33 + length
    local key, unique
    if flags % 2 == 1 then
        key = kind .. ':' .. string.sub(body, at + 1, at + string.byte(body, at))
        at = at + 1 + string.byte(body, at)
    end
    if floor(flags / 2) % 2 == 1 then unique = kind .. ':' .. string.sub(body, at + 2, at + 1 + string.byte(body, at + 1)) end
    return key, unique
end

local ENDED = {d = 'dead', x = 'cancelled'}

-- Who still waits for a job that is removed is cancelled.
local function orphan(page, id, record)
    local dependents = call('SMEMBERS', after_of(page, id))
    local reason = id_text('job_', id) .. ', which this job waited for, was removed and had not completed: it was '
        .. (ENDED[record[STATE]] or 'gone')
    for _, dependent in ipairs(dependents) do cancel_blocked(page, dependent, reason) end
    call('DEL', after_of(page, id))
end

local function free_key(list, key, id)
    if key and call('HGET', list, key) == id then call('HDEL', list, key) end
end

-- Takes jobs that are gone out of their tenant's index: an entry goes when the last of its jobs does.
local function unlist(name, sequences)
    local index, jobs, past = P .. ':index:' .. name, P .. ':job:' .. name, -1
    table.sort(sequences)
    for _, sequence in ipairs(sequences) do
        local entry = sequence > past and call('XREVRANGE', index, string.format('%.0f-0', sequence), '-', 'COUNT', 1)[1]
        if entry then
            local ids, is_used = ids_in(entry[2][2], 1), false
            past = tonumber(string.match(entry[1], '^%d+')) + #ids - 1
            -- What came last goes last, mostly.
            for place = #ids, 1, -1 do is_used = is_used or call('HEXISTS', jobs, ids[place]) == 1 end
            if not is_used then call('XDEL', index, entry[1]) end
        end
    end
    if call('XLEN', index) == 0 then call('DEL', index) end
end

-- Removes these jobs of a tenant, which have ended.
local function remove(page, ids)
    local name, sequences = page.name, {}
    for _, id in ipairs(ids) do
        local record = page.records[id]
        local lane = lane_of(record[KIND], name)
        lane[record[STATE]], lane.is_dirty = most_of(lane[record[STATE]] - 1, 0), true
        page.lanes[lane] = true
        sequences[#sequences + 1] = record[SEQUENCE]
        forget_events(record, name, id)
        if has(record, 'a') then orphan(page, id, record) end
        if has(record, 'k') or has(record, 'u') then
            local body = call('HGET', P .. ':job:' .. name, id)
            if body and #body > 33 then
                local is_fine, key, unique = pcall(keys_of, body)
                if is_fine then
                    free_key(P .. ':key:' .. name, key, id)
                    free_key(P .. ':only:' .. name, unique, id)
                end
            end
        end
        page.records[id] = nil
    end
    for _, part in ipairs({':job:', ':run:', ':out:', ':check:'}) do write('HDEL', P .. part .. name, ids) end
    unlist(name, sequences)
    page.tenant.finished, page.tenant.is_dirty = page.tenant.finished - #ids, true
    for lane in pairs(page.lanes) do
        if lane.s + lane.w + lane.b + lane.r + lane.t + lane.c + lane.x + lane.d == 0 then
            call('ZADD', P .. ':empty', most_of(lane.bucket, now), lane.name)
        end
    end
end

-- Removes a tenant's jobs from the first that ended: those before the time, and so many more.
local function remove_first(name, excess)
    local ended, page = P .. ':ended:' .. name, open_page(name)
    while removed < MOST_REMOVED and looked < MOST_LOOKED do
        -- Those that ended in one script stand together, behind their time.
        local entry = call('LINDEX', ended, 0)
        if not entry then break end
        local time, ids = struct.unpack('>I8', entry .. '        '), ids_in(entry, 9)
        if time >= before and excess <= 0 then break end
        load_records(page, ids)
        local gone, taken = {}, 0
        for place, id in ipairs(ids) do
            if #gone >= MOST_REMOVED - removed or looked >= MOST_LOOKED or (time >= before and excess <= 0) then break end
            local record = page.records[id]
            taken, looked = place, looked + 1
            if record and FINAL[record[STATE]] and record[FINISHED_AT] == time then
                gone[#gone + 1] = id
                excess = excess - 1
                if has(record, 'a') then looked = looked + call('SCARD', after_of(page, id)) end
                -- Its second entry, where it has one, is stale.
                record[FINISHED_AT] = 0
            end
        end
        if #gone > 0 then
            remove(page, gone)
            removed = removed + #gone
        end
        if taken == #ids then
            call('LPOP', ended)
        else
            call('LSET', ended, 0, string.sub(entry, 1, 8) .. string.sub(entry, 9 + 16 * taken))
        end
    end
    close_page(page)
    local first = call('LINDEX', ended, 0)
    if first then
        call('ZADD', P .. ':ending', (struct.unpack('>I8', first .. '        ')), name)
    else
        call('ZREM', P .. ':ending', name)
    end
end

local function remove_from(tenants, excess_of)
    for place = 1, #tenants, 2 do
        if removed >= MOST_REMOVED or looked >= MOST_LOOKED then return end
        local name = tenants[place]
        local problem = protected(remove_first, name, excess_of(tonumber(tenants[place + 1])))
        if problem then
            -- Last in line from now on: the others come first.
            call('ZADD', P .. ':ending', now + LATER, name)
            trouble(name, problem)
        end
    end
end

local past = '(' .. string.format('%.0f', before)
remove_from(call('ZRANGEBYSCORE', P .. ':ending', '-inf', past, 'WITHSCORES', 'LIMIT', 0, 100), function() return 0 end)
-- Those that have too many are looked for among a bounded number of tenants, from call to call others.
if most_kept then
    local tenants = call('ZCARD', P .. ':ending')
    local from = tenants > MOST_TENANTS and number(call('GET', P .. ':swept')) % tenants or 0
    local names = call('ZRANGE', P .. ':ending', from, from + MOST_TENANTS - 1)
    for place = 1, #names, SLICE do
        local keys = {}
        for at = place, least(place + SLICE - 1, #names) do keys[#keys + 1] = P .. ':load:' .. names[at] end
        for at, load in ipairs(call('MGET', unpack(keys))) do
            local name = names[place + at - 1]
            local is_fine, _, _, _, _, _, finished = pcall(struct.unpack, LOAD, load or '')
            if is_fine and finished > most_kept then remove_from({name, finished}, function(of) return of - most_kept end) end
        end
    end
    if tenants > MOST_TENANTS then call('SET', P .. ':swept', string.format('%.0f', from + MOST_TENANTS)) end
end

-- Removes batches that are over, and were so before the time, and those that were opened before it, were never filled,
-- and in which nothing goes on: what follows such a one is cancelled. While jobs are left to be removed, they stay.
local function remove_batches()
    local members = call('ZRANGEBYSCORE', P .. ':batches', '-inf', past, 'LIMIT', 0, MOST_REMOVED - removed)
    for _, member in ipairs(members) do
        local id, name = string.sub(member, 1, 16), string.sub(member, 17)
        local problem = protected(function()
            local page = open_page(name)
            local batch = batch_of(page, id)
            call('HDEL', P .. ':batch:' .. name, id)
            if batch and batch[CALLBACK] then
                cancel_blocked(page, batch[CALLBACK], id_text('batch_', id)
                    .. ', which this job was to follow, never got all of its jobs and was removed')
            end
            close_page(page)
        end)
        call('ZREM', P .. ':batches', member)
        if problem then trouble(name, problem) else removed = removed + 1 end
    end
end
if removed < MOST_REMOVED and looked < MOST_LOOKED then remove_batches() end

-- Forgets a lane without jobs that would begin anew just where it is: its bucket is full, and either the virtual time has
-- passed its own or nobody waits in the kind, so that there is nobody to be ahead of.
local function forget(member)
    local kind_name, name = string.match(member, '^([^:]+):(.+)$')
    local lane, kind, tenant = lane_of(kind_name, name), kind_of(kind_name), tenant_of(name)
    local is_empty = lane.s + lane.w + lane.b + lane.r + lane.t + lane.c + lane.x + lane.d == 0
    if is_empty and (lane.bucket > now or (lane.era == kind.era and lane.tag > kind.tag and call('EXISTS', kind.ring) == 1)) then
        return call('ZADD', P .. ':empty', most_of(lane.bucket, now + 10000000), member)
    end
    call('ZREM', P .. ':empty', member)
    if not is_empty or lane.is_new then return end
    call('DEL', lane.key)
    call('SREM', P .. ':lanes', member)
    LANES[member] = nil
    tenant.lanes, tenant.is_dirty, kind.lanes, kind.is_dirty = tenant.lanes - 1, true, kind.lanes - 1, true
    if tenant.lanes <= 0 and not tenant.is_limited then
        call('DEL', P .. ':load:' .. name)
        TENANTS[name] = nil
    end
    if kind.lanes <= 0 then
        call('SREM', P .. ':kinds', kind_name)
        if call('HEXISTS', P .. ':kind:' .. kind_name, 'limits') == 0 then
            call('DEL', P .. ':kind:' .. kind_name)
            KINDS[kind_name] = nil
        end
    end
end

save()
for _, member in ipairs(call('ZRANGEBYSCORE', P .. ':empty', '-inf', now, 'LIMIT', 0, MOST_FORGOTTEN)) do
    local problem = protected(forget, member)
    if problem then
        call('ZADD', P .. ':empty', now + LATER, member)
        trouble(member, problem)
    end
end
save()
wake_stirred()
return {lapsed, removed, troubles}
