-- claim: waiting -> running, by start-time fair queueing; before that, what is due and what has lapsed -> waiting.
-- KEYS[1] shard   ARGV time, worker, microseconds of a lease, most jobs, most bytes, then kinds (each once)
-- Returns {claims: for each turn of a lane its tenant and {id, body, nil where it is its first claim and it has only a
--      payload, else {attempt, epoch, run_at, reason, checkpoint}, and so on};
--      what could not be served: tenant, problem, and so on; how many lanes are left in the ring; the end of the leases; the time}.
-- O(jobs log lanes), whatever number of lanes waits, parked or not.
--
-- Between lanes this is start-time fair queueing (Goyal, Vin, Cheng, 1996), as queue/sqlite/claim.rs describes it.

-- Jobs that a lane is served in one go where others wait too: at most a quarter of a small claim, an eighth of a large one.
-- Each turn of a lane costs as much as three or four jobs, so that large claims take larger ones.
local QUANTUM, MOST_QUANTUM = 8, 32
-- Lanes that one claim takes out of the ring at most; jobs or lanes of each sort that it moves in at most.
local MOST_PARKED, MOST_MOVED = 1000, 500
-- Virtual times are set back before their fractions become too coarse.
local REBASE = 4398046511104

local who, until_, most_jobs, most_weight = ARGV[2], now + tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local quantum = most_of(1, least(QUANTUM, floor(most_jobs / 4)), least(MOST_QUANTUM, floor(most_jobs / 8)))

local claims, troubles, taken_jobs, taken_weight = {}, {}, 0, 0
local sub = string.sub
-- Whose leases this claim gives, and its number.
local members, leases_given, number_of_claim = {}, 0, nil
local function claim_number()
    number_of_claim = number_of_claim or call('INCR', P .. ':claims')
    return number_of_claim
end

local function trouble(tenant, problem)
    troubles[#troubles + 1], troubles[#troubles + 2] = tenant, problem
end

lapse(now, MOST_MOVED, trouble)

-- Moves a kind's due jobs into their lanes and its lanes into the ring.
local function move_in(name)
    fall_due(name, now, MOST_MOVED, trouble)
    local parked = P .. ':parked:' .. name
    for _, tenant in ipairs(call('ZRANGEBYSCORE', parked, '-inf', now, 'LIMIT', 0, MOST_MOVED)) do
        local problem = protected(function()
            local lane = lane_of(name, tenant)
            lane.standing = 'p'
            stand(lane, lane.w > 0 and 'r' or 'i')
        end)
        if problem then
            call('ZADD', parked, now + LATER, tenant)
            trouble(tenant, problem)
        end
    end
end

-- What a lane may use at this moment.
local function allowance(kind, lane, tenant)
    local room, interval, burst = huge, nil, nil
    if tenant.most then room = tenant.most - tenant.running end
    if tenant.is_limited then
        local field = call('HMGET', P .. ':tenant:' .. tenant.name, 'rate:' .. kind.name, 'most:' .. kind.name)
        local lane_most = tonumber(field[2])
        if lane_most then room = least(room, lane_most - lane.r) end
        if field[1] then
            interval, burst = string.match(field[1], '^(%d+) (%d+)$')
            interval, burst = tonumber(interval), tonumber(burst)
        end
    end
    if room > 0 and is_paused('tenant:' .. tenant.name) then room = 0 end
    local tokens = huge
    if interval then
        -- A slower rate may have left a debt that the present one would never make.
        lane.bucket = least(lane.bucket, now + interval * burst)
        local free = interval * burst - most_of(lane.bucket - now, 0)
        tokens = least(floor(most_of(free, 0) / interval), burst)
    end
    return most_of(room, 0), tokens, interval, burst
end

-- The mean of the time from one start to the next, the newest an eighth of it. What starts at one instant is one service,
-- and idle time is no pace.
local function keep_pace(lane, started)
    if lane.served == now then
        lane.lately = lane.lately + started
    else
        if lane.served > 0 then
            local sample = floor(most_of(now - lane.served, 0) / most_of(lane.lately, 1))
            lane.pace = lane.pace >= 0 and floor((lane.pace * 7 + sample) / 8) or sample
        end
        lane.served, lane.lately = now, started
    end
    if lane.w <= 0 then lane.served = 0 end
end

-- Takes ids out of a lane, the first to go first; also the rank of each, and its sequence where it had been in the lane
-- before.
local function pop(lane, wanted)
    local ids, ranks, backs = {}, {}, {}
    local left = {lane.w0, lane.w1, lane.w - lane.w0 - lane.w1 - lane.w3, lane.w3}
    for rank = 0, 3 do
        if #ids < wanted and left[rank + 1] > 0 then
            if lane.k > 0 then
                local first = call('ZPOPMIN', lane.key .. ':back' .. rank, wanted - #ids)
                for place = 1, #first, 2 do
                    ids[#ids + 1], ranks[#ids + 1], backs[#ids + 1] = first[place], rank, first[place + 1]
                end
                lane.k = most_of(lane.k - #first / 2, 0)
            end
            if #ids < wanted then
                for _, id in ipairs(call('LPOP', lane.key .. ':' .. rank, wanted - #ids) or {}) do
                    ids[#ids + 1], ranks[#ids + 1] = id, rank
                end
            end
        end
    end
    return ids, ranks, backs
end

local function push_back(lane, ids, ranks, backs, from)
    for place = #ids, from, -1 do
        if backs[place] then
            call('ZADD', lane.key .. ':back' .. ranks[place], backs[place], ids[place])
            lane.k = lane.k + 1
        else
            call('LPUSH', lane.key .. ':' .. ranks[place], ids[place])
        end
    end
end

-- A waiting job that can't be read: dead, where there is a body at all.
local function bury(lane, tenant, id, rank, body)
    local record = fresh(body or '')
        or {
            true, 1, 'w', 0, 0, 0, 0, 0, 0, 0, 0, NO_PRINT, '-', 0, 0, 0, '', lane.kind, now, rank, 1, 0, 1, 0, '', '', '', '', '', '',
        }
    record[KIND], record[PRIORITY], record[STATE] = lane.kind, rank, 'w'
    if not body then
        count(lane, tenant, record, 'w', nil)
        return trouble(lane.tenant, 'a waiting job has no body: dropped')
    end
    count(lane, tenant, record, 'w', 'd')
    local reason = 'what is stored of it can not be read'
    record[STATE], record[FINISHED_AT], record[REASON] = 'd', now, '=' .. reason
    note_state(record, lane.tenant, id, now, reason)
    call('HSET', P .. ':run:' .. lane.tenant, id, pack_record(record))
    call('RPUSH', P .. ':ended:' .. lane.tenant, struct.pack('>I8', now) .. id)
    call('ZADD', P .. ':ending', 'NX', now, lane.tenant)
    tenant.finished = tenant.finished + 1
    trouble(lane.tenant, 'a waiting job can not be read: dead')
end

-- What the records of jobs that are claimed for the first time begin and end with.
local heads, texts = {}, nil
local function first_record(kind)
    heads[kind] = heads[kind] or struct.pack(START, 1, 'r', 1, 1, 0, until_, claim_number(), now, 0, 0, NO_PRINT, '-', 1, 0, 1, 0, '', #kind, kind)
    texts = texts or struct.pack(TEXTS, #who, who, 0, '', 0, '', 0, '', 0, '') .. struct.pack(LOG_ENTRY, 1, now, 'r', 1, 0, '')
    return heads[kind], texts
end

-- What the last plain body said of its job, acceptance and sequence aside: most bodies of a lane say the same, and are
-- then not taken apart. The record has the 7 low bytes of the acceptance and the 6 of the sequence as the body has them.
local like = {}

-- Whether a body is plain and like `like`, which is made so.
local function is_like(body, rank)
    local said = sub(body, 17, 29)
    if like.said == said and like.length == #body and like.rank == rank then return true end
    if #body < 32 then return false end
    local created, sequence, format, payload, bits, _, cost, attempts = struct.unpack(BODY, body)
    if format ~= 1 or bits ~= 0 or payload > #body then return false end
    local size = #body - payload
    local middle = struct.pack(MIDDLE, created, rank, attempts, size, cost, sequence)
    like = {said = said, length = #body, rank = rank, size = size, cost = cost, middle = sub(middle, 8, 18)}
    return true
end

-- Serves the lane of a tenant whose turn it is. Answers how many jobs it got, their weight, and when its last quantum began.
local function serve_lane(kind, name, tag, next_tag, most, most_bytes, popped)
    local tenant, lane = tenant_of(name), lane_of(kind.name, name)
    lane.standing = 'r'
    local room, tokens, interval, burst = allowance(kind, lane, tenant)
    most = least(most, room, tokens)
    local started, weight, bytes, began, in_quantum, group = 0, 0, 0, -huge, 0, nil
    local runs, jobs_key, run_key = {}, P .. ':job:' .. name, P .. ':run:' .. name
    local given, seen, chunk, is_over = {}, {}, 16, most <= 0
    local heard, first_head, first_texts = false, nil, nil
    if not is_over then
        began = tag
        heard = listened(name)
        first_head, first_texts = first_record(kind.name)
    end
    while not is_over do
        local wanted = most - started
        if next_tag then wanted = least(wanted, quantum - in_quantum) else wanted = least(wanted, chunk) end
        local ids, ranks, backs = pop(lane, wanted)
        if #ids == 0 then
            -- A lane that counts jobs and has none would be picked for ever: it rests.
            lane.w, lane.w0, lane.w1, lane.w3, lane.k = 0, 0, 0, 0, 0
            break
        end
        popped.lane, popped.ids, popped.ranks, popped.backs = lane, ids, ranks, backs
        local bodies, records, checks = call('HMGET', jobs_key, unpack(ids)), call('HMGET', run_key, unpack(ids)), nil
        group = group or {}
        for place, id in ipairs(ids) do
            if is_over then
                push_back(lane, ids, ranks, backs, place)
                break
            end
            local body, record = bodies[place], nil
            local is_plain = body and not records[place] and not heard and not seen[id] and is_like(body, ranks[place])
            if is_plain then
                -- Most jobs: nothing but their payload, and never claimed before.
                local size, at, to = like.size, #runs, #group
                runs[at + 1], runs[at + 2] = id, first_head .. sub(body, 2, 8) .. like.middle .. sub(body, 11, 16) .. first_texts
                group[to + 1], group[to + 2], group[to + 3] = id, body, false
                bytes, weight, tag = bytes + size, weight + size, tag + like.cost / tenant.weight
            else
                record = unpack_record(records[place])
                if record == nil then record = fresh(body) or false end
                if not body or not record then
                    bury(lane, tenant, id, ranks[place], body)
                    record = nil
                elseif record[STATE] ~= 'w' or seen[id] then
                    record = nil
                end
            end
            if record then
                -- It counts where it was found, whatever is stored of it.
                record[KIND], record[PRIORITY] = kind.name, ranks[place]
                local checkpoint = has(record, 'c') and call('HGET', P .. ':check:' .. name, id)
                record[STATE], record[STARTED_AT], record[WORKER] = 'r', now, who
                record[LEASE_UNTIL], record[CLAIM] = until_, claim_number()
                record[ATTEMPT], record[EPOCH] = record[ATTEMPT] + 1, record[EPOCH] + 1
                note_state(record, name, id, now)
                runs[#runs + 1], runs[#runs + 2] = id, pack_record(record)
                local at = #group
                group[at + 1], group[at + 2] = id, body
                group[at + 3] = {
                    record[ATTEMPT], record[EPOCH], record[RUN_AT], record[REASON] ~= '' and string.sub(record[REASON], 2),
                    checkpoint,
                }
                bytes = bytes + record[BYTES]
                weight = weight + record[BYTES] + (checkpoint and #checkpoint or 0)
                tag = tag + record[COST] / tenant.weight
            end
            if is_plain or record then
                seen[id] = true
                given[#given + 1] = id
                started, in_quantum = started + 1, in_quantum + 1
                lane.w, lane.r = lane.w - 1, lane.r + 1
                if ranks[place] ~= 2 then lane['w' .. ranks[place]] = most_of(lane['w' .. ranks[place]] - 1, 0) end
                if started == most or weight >= most_bytes then
                    is_over = true
                elseif not next_tag and in_quantum == quantum then
                    in_quantum, began = 0, tag
                end
            end
        end
        popped.ids = nil
        chunk = least(256, chunk * 4, most_of(16, floor(most_bytes / most_of(1, weight / most_of(started, 1)))))
        if next_tag and in_quantum == quantum and not is_over then
            if tag >= next_tag then is_over = true else in_quantum, began = 0, tag end
        end
    end
    if started > 0 then
        write('HSET', run_key, runs)
        members[#members + 1], leases_given = group_of(name, given), leases_given + started
        claims[#claims + 1], claims[#claims + 2] = name, group
        tenant.running, tenant.waiting, tenant.bytes = tenant.running + started, tenant.waiting - started, tenant.bytes - bytes
        tenant.is_dirty = true
        kind.running, kind.is_dirty = kind.running + started, true
        if interval then lane.bucket = most_of(lane.bucket, now) + interval * started end
        keep_pace(lane, started)
    end
    lane.is_dirty = true
    local next_token = now
    if interval then
        next_token = now + most_of(0, most_of(lane.bucket - now, 0) + interval - interval * burst)
    end
    if lane.w <= 0 then
        lane.w = 0
        stand(lane, 'i')
    elseif room - started <= 0 then
        stand(lane, 'h')
    elseif next_token > now then
        stand(lane, 'p', next_token)
    end
    if lane.standing == 'r' then call('ZADD', kind.ring, tag, name) else lane.tag, lane.era = tag, kind.era end
    return started, weight, began
end

-- Serves a kind's lanes in their order, at most `most` jobs and no more once they weigh so much; answers how many.
local function serve(kind, most, weight_left)
    local taken, parked = 0, 0
    most = least(most, kind.room)
    while taken < most and parked < MOST_PARKED and weight_left > 0 do
        local first = call('ZRANGE', kind.ring, 0, 1, 'WITHSCORES')
        if #first == 0 then break end
        local name, tag, popped = first[1], tonumber(first[2]), {}
        local started, weight, began
        local problem = protected(function()
            started, weight, began =
                serve_lane(kind, name, tag, first[4] and tonumber(first[4]), most - taken, weight_left, popped)
        end)
        if problem then
            trouble(name, problem)
            if popped.ids then protected(push_back, popped.lane, popped.ids, popped.ranks, popped.backs, 1) end
            TENANTS[name], LANES[kind.name .. ':' .. name] = nil, nil
            call('ZREM', kind.ring, name)
            call('ZADD', P .. ':parked:' .. kind.name, now + LATER, name)
            protected(call, 'SETRANGE', P .. ':lane:' .. kind.name .. ':' .. name, 0, 'p')
            parked = parked + 1
        else
            taken, taken_weight, weight_left = taken + started, taken_weight + weight, weight_left - weight
            if began > kind.tag then kind.tag, kind.is_dirty = began, true end
            if started == 0 then parked = parked + 1 end
        end
    end
    kind.room = kind.room - taken
    taken_jobs = taken_jobs + taken
    return taken
end

-- Begins virtual time anew: the lanes in the ring keep their distances, what others had is forgotten.
local function rebase(kind)
    local ring = call('ZRANGE', kind.ring, 0, -1, 'WITHSCORES')
    local scores = {}
    for place = 1, #ring, 2 do
        scores[place], scores[place + 1] = most_of(tonumber(ring[place + 1]) - kind.tag, 0), ring[place]
    end
    write('ZADD', kind.ring, scores)
    kind.tag, kind.era, kind.is_dirty = 0, kind.era + 1, true
end

local kinds = {}
for place = 6, #ARGV do
    move_in(ARGV[place])
    local kind = kind_of(ARGV[place])
    kind.room = room_of(kind)
    if kind.room > 0 then kinds[#kinds + 1] = kind end
end
-- Who was served longest ago is first in line for what can't be shared evenly.
table.sort(kinds, function(one, other)
    if one.turn ~= other.turn then return one.turn < other.turn end
    return one.name < other.name
end)

local function took_turn(kind)
    kind.turn, kind.is_dirty = call('INCR', P .. ':turn'), true
end

if #kinds == 1 then
    serve(kinds[1], most_jobs, most_weight)
elseif #kinds > 1 then
    local share, left_over = floor(most_jobs / #kinds), most_jobs % #kinds
    for place, kind in ipairs(kinds) do
        local extra = place <= left_over and 1 or 0
        if serve(kind, share + extra, most_weight / #kinds) > share and extra > 0 then took_turn(kind) end
    end
    for _, kind in ipairs(kinds) do
        if taken_jobs < most_jobs and taken_weight < most_weight then
            if serve(kind, most_jobs - taken_jobs, most_weight - taken_weight) > 0 then took_turn(kind) end
        end
    end
end

lease(until_, members, leases_given, number_of_claim)

local ready = 0
for _, kind in ipairs(kinds) do
    if kind.tag > REBASE then rebase(kind) end
    local lanes = call('ZCARD', kind.ring)
    ready = ready + lanes
    -- What is left is for the next sleeper.
    if lanes > 0 then STIRRED[kind.name] = true end
end
save()
wake_stirred()
return {claims, troubles, ready, until_, now}
