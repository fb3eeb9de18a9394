-- What ties a job to others: the jobs that it waits for, its batch, the batch that it follows. Wants transition.lua.
--
-- P:waits:<tenant> holds of each blocked job an array in msgpack: the batch that it follows or false, then the jobs that
-- have not completed. P:after:<tenant>:<id> holds who waits for a job, whose record then has the flag `a`. A batch is an
-- array in msgpack:
local SIZE, ENQUEUED, COMPLETED, DEAD, CANCELLED = 1, 2, 3, 4, 5
local CALLBACK = 6 -- its id or false
local OPENED_AT = 7
local ENDED_AT = 8 -- when one of its jobs ended last, or false
local OVER = 9 -- whether all of its jobs have ended once: its callback is let go but once

local ENDS = {c = COMPLETED, d = DEAD, x = CANCELLED}

local function waits_of(page, id)
    local packed = call('HGET', P .. ':waits:' .. page.name, id)
    if not packed then return nil end
    local is_fine, waits = pcall(cmsgpack.unpack, packed)
    return is_fine and type(waits) == 'table' and waits or nil
end

local function after_of(page, id) return P .. ':after:' .. page.name .. ':' .. id end

function untie(page, id)
    local waits = waits_of(page, id)
    if waits then
        for place = 2, #waits do call('SREM', after_of(page, waits[place]), id) end
    end
    call('HDEL', P .. ':waits:' .. page.name, id)
end

-- Lets a blocked job run: from now on, or from its own time on where that is later. Others stay as they are.
local function unblock(page, id)
    load_records(page, {id})
    local record = page.records[id]
    if not record or record[STATE] ~= 'b' then return end
    record[RUN_AT] = most_of(record[RUN_AT], now)
    move(page, id, record, record[RUN_AT] > now and 's' or 'w')
    note_state(record, page.name, id, now)
end

-- Cancels a blocked job. Others stay as they are.
local function cancel_blocked(page, id, reason)
    load_records(page, {id})
    local record = page.records[id]
    if not record or record[STATE] ~= 'b' then return end
    record[REASON] = '=' .. reason
    move(page, id, record, 'x')
    note_state(record, page.name, id, now, reason)
end

-- A job has completed: who waited for nothing else may run.
function release(page, id)
    local key = after_of(page, id)
    local dependents = call('SMEMBERS', key)
    call('DEL', key)
    for _, dependent in ipairs(dependents) do
        local waits = waits_of(page, dependent)
        if waits then
            local left = {waits[1]}
            for place = 2, #waits do
                if waits[place] ~= id then left[#left + 1] = waits[place] end
            end
            if #left == 1 and not left[1] then
                unblock(page, dependent)
            else
                call('HSET', P .. ':waits:' .. page.name, dependent, cmsgpack.pack(left))
            end
        end
    end
end

local function is_batch(batch)
    if type(batch) ~= 'table' then return false end
    for place = SIZE, CANCELLED do
        if type(batch[place]) ~= 'number' then return false end
    end
    return type(batch[OPENED_AT]) == 'number'
end

-- A batch of the page's tenant; nothing where there is none that can be read.
local function batch_of(page, id)
    local batch = page.batches[id]
    if batch == nil then
        local packed = call('HGET', P .. ':batch:' .. page.name, id)
        if packed then
            local is_fine, unpacked_batch = pcall(cmsgpack.unpack, packed)
            batch = is_fine and is_batch(unpacked_batch) and unpacked_batch
        end
        page.batches[id] = batch or false
    end
    return batch or nil
end

local function ended_in(batch) return batch[COMPLETED] + batch[DEAD] + batch[CANCELLED] end

function count_in_batch(page, id, from, to)
    local batch = batch_of(page, id)
    if not batch then return end
    page.changed_batches[id] = true
    if ENDS[from] then batch[ENDS[from]] = most_of(batch[ENDS[from]] - 1, 0) end
    if ENDS[to] then batch[ENDS[to]], batch[ENDED_AT] = batch[ENDS[to]] + 1, now end
    if not batch[OVER] and ended_in(batch) >= batch[SIZE] then
        batch[OVER] = true
        if batch[CALLBACK] then unblock(page, batch[CALLBACK]) end
    end
end

function write_batches(page)
    for id in pairs(page.changed_batches) do
        local batch, member = page.batches[id], id .. page.name
        call('HSET', P .. ':batch:' .. page.name, id, cmsgpack.pack(batch))
        -- The time before which a sweep's must be later: all have ended, or it was never filled and nothing goes on in it.
        local ended = ended_in(batch)
        if ended >= batch[SIZE] then
            call('ZADD', P .. ':batches', batch[ENDED_AT] or now, member)
        elseif batch[ENQUEUED] < batch[SIZE] and ended >= batch[ENQUEUED] then
            call('ZADD', P .. ':batches', batch[OPENED_AT], member)
        else
            call('ZREM', P .. ':batches', member)
        end
    end
end
