-- What scripts share that change something. They read what they need of kinds, tenants, lanes and records once, change
-- it here, and write each once at the end (`close_page`, `save`). Wants prelude.lua and events.lua.
--
-- A page is what a script changes of one tenant. Nothing outside the page's own keys is touched before `close_page`, so
-- that a tenant whose keys hold something else is left alone and the others are not (`protected`).

local now = clock()
local floor, least, most_of, huge = math.floor, math.min, math.max, math.huge

-- The most arguments of one call: Lua has a bound on what it unpacks.
local SLICE = 500
-- What can't be read is tried again after so long.
local LATER = 60000000

local function number(value) return tonumber(value) or 0 end

local function write(command, key, list)
    for from = 1, #list, SLICE do
        call(command, key, unpack(list, from, least(from + SLICE - 1, #list)))
    end
end

local function fetch(key, ids)
    if #ids <= SLICE then return call('HMGET', key, unpack(ids)) end
    local all = {}
    for from = 1, #ids, SLICE do
        local some = call('HMGET', key, unpack(ids, from, least(from + SLICE - 1, #ids)))
        for place = 1, #some do all[from + place - 1] = some[place] end
    end
    return all
end

-- Calls a function whose failure is to harm nobody else; answers what failed, or nothing.
local function protected(work, ...)
    local is_fine, problem = pcall(work, ...)
    if is_fine then return false end
    return type(problem) == 'table' and problem.err or tostring(problem)
end

-- Kinds, tenants and lanes, read once.

local KINDS, TENANTS, LANES = {}, {}, {}
-- Kinds that have got something to run, and those to which time will bring something: when.
local STIRRED, TIMED = {}, {}
-- Claims whose jobs were released: how many.
local RELEASED = {}
local has_pauses = nil

local function has_any_pause()
    if has_pauses == nil then has_pauses = call('EXISTS', P .. ':paused') == 1 end
    return has_pauses
end

local function is_paused(scope)
    return has_any_pause() and call('SISMEMBER', P .. ':paused', scope) == 1
end

local function kind_of(name)
    local kind = KINDS[name]
    if not kind then
        local field = call('HMGET', P .. ':kind:' .. name, 'tag', 'era', 'turn', 'running', 'most', 'lanes')
        kind = {
            name = name, ring = P .. ':ring:' .. name, tag = number(field[1]), era = number(field[2]),
            turn = number(field[3]), running = number(field[4]), most = tonumber(field[5]), lanes = number(field[6]),
        }
        KINDS[name] = kind
    end
    return kind
end

local function tenant_of(name)
    local tenant = TENANTS[name]
    if not tenant then
        local load = call('GET', P .. ':load:' .. name)
        tenant = {
            name = name, running = 0, waiting = 0, bytes = 0, lanes = 0, is_limited = false, finished = 0, weight = 1,
            most = nil, most_waiting = 100000, most_bytes = 1073741824,
        }
        if load then
            local limited
            tenant.running, tenant.waiting, tenant.bytes, tenant.lanes, limited, tenant.finished = struct.unpack(LOAD, load)
            tenant.is_limited = limited == 1
        end
        if tenant.is_limited then
            local field = call('HMGET', P .. ':tenant:' .. name, 'weight', 'most', 'most_waiting', 'most_bytes')
            tenant.weight, tenant.most = most_of(tonumber(field[1]) or 1, 1), tonumber(field[2])
            if field[3] then tenant.most_waiting = tonumber(field[3]) or huge end
            if field[4] then tenant.most_bytes = tonumber(field[4]) or huge end
        end
        TENANTS[name] = tenant
    end
    return tenant
end

local function lane_of(kind, tenant)
    local name = kind .. ':' .. tenant
    local lane = LANES[name]
    if not lane then
        local key = P .. ':lane:' .. name
        lane = unpack_lane(call('GET', key))
        lane.name, lane.key, lane.kind, lane.tenant = name, key, kind, tenant
        LANES[name] = lane
    end
    return lane
end

-- The states of a tenant's queue at the door: unfinished and not running.
local WAITS = {s = true, w = true, b = true, t = true}
local FINAL = {c = true, x = true, d = true}

-- A job has come to a lane (`from` nothing), gone (`to` nothing), or moved.
local function count(lane, tenant, record, from, to)
    local bytes, rank = record[BYTES], record[PRIORITY]
    if from then
        lane[from] = most_of(lane[from] - 1, 0)
        if WAITS[from] then
            tenant.waiting, tenant.bytes = tenant.waiting - 1, tenant.bytes - bytes
            if from == 'w' and rank ~= 2 then lane['w' .. rank] = most_of(lane['w' .. rank] - 1, 0) end
        elseif from == 'r' then
            tenant.running = tenant.running - 1
        end
    end
    if to then
        lane[to] = lane[to] + 1
        if WAITS[to] then
            tenant.waiting, tenant.bytes = tenant.waiting + 1, tenant.bytes + bytes
            if to == 'w' and rank ~= 2 then lane['w' .. rank] = lane['w' .. rank] + 1 end
        elseif to == 'r' then
            tenant.running = tenant.running + 1
        end
    end
    lane.is_dirty, tenant.is_dirty = true, true
end

-- Puts a lane where it belongs: i(dle), r(eady), p(arked) until a time, h(eld) until an event of its tenant. A lane that
-- comes into the ring begins at the present virtual time or its own, whichever is later: no credit.
local function stand(lane, standing, at)
    local kind, was = kind_of(lane.kind), lane.standing
    if was == 'r' and standing ~= 'r' then
        local tag = call('ZSCORE', kind.ring, lane.tenant)
        if tag then
            lane.tag, lane.era = tonumber(tag), kind.era
            call('ZREM', kind.ring, lane.tenant)
        end
    elseif was == 'p' and standing ~= 'p' then
        call('ZREM', P .. ':parked:' .. lane.kind, lane.tenant)
    elseif was == 'h' and standing ~= 'h' then
        call('SREM', P .. ':held:' .. lane.tenant, lane.kind)
    end
    if standing == 'r' and was ~= 'r' then
        local tag = lane.era == kind.era and most_of(lane.tag, kind.tag) or kind.tag
        call('ZADD', kind.ring, tag, lane.tenant)
        STIRRED[lane.kind] = true
    elseif standing == 'p' then
        call('ZADD', P .. ':parked:' .. lane.kind, at, lane.tenant)
        TIMED[lane.kind] = least(TIMED[lane.kind] or huge, at)
    elseif standing == 'h' and was ~= 'h' then
        call('SADD', P .. ':held:' .. lane.tenant, lane.kind)
    end
    if was ~= standing then lane.standing, lane.is_dirty = standing, true end
end

-- A lane wakes when its first job waits and rests when its last has gone.
local function settle_standing(lane)
    if lane.w <= 0 then
        if lane.standing ~= 'i' then stand(lane, 'i') end
    elseif lane.standing == 'i' then
        stand(lane, 'r')
    end
end

-- Puts the tenant's held lanes back into the ring: there may be room again.
local function unhold(tenant)
    for _, kind in ipairs(call('SMEMBERS', P .. ':held:' .. tenant)) do
        local lane = lane_of(kind, tenant)
        if lane.standing == 'h' then
            stand(lane, lane.w > 0 and 'r' or 'i')
        else
            call('SREM', P .. ':held:' .. tenant, kind)
        end
    end
end

local function save_lane(lane)
    call('SET', lane.key, struct.pack(LANE, lane.standing, lane.s, lane.w, lane.b, lane.r, lane.t, lane.c, lane.x, lane.d,
        lane.w0, lane.w1, lane.w3, lane.k, lane.tag, lane.era, lane.bucket, lane.served, lane.lately, lane.pace + 1))
    if lane.is_new then
        local kind, tenant = kind_of(lane.kind), tenant_of(lane.tenant)
        call('SADD', P .. ':lanes', lane.name)
        if kind.lanes == 0 then call('SADD', P .. ':kinds', lane.kind) end
        kind.lanes, kind.is_dirty = kind.lanes + 1, true
        tenant.lanes, tenant.is_dirty = tenant.lanes + 1, true
        lane.is_new = false
    end
end

local function save_tenant(tenant)
    call('SET', P .. ':load:' .. tenant.name, struct.pack(LOAD, most_of(tenant.running, 0), most_of(tenant.waiting, 0),
        most_of(tenant.bytes, 0), most_of(tenant.lanes, 0), tenant.is_limited and 1 or 0, most_of(tenant.finished, 0)))
end

-- Leases stand in groups, one a claim or renewal: `P:lease` has when each ends, `P:leased:<claim>` whose they are, and
-- `P:holding` how many still run. When none does the group goes.
local function lease(until_, groups, jobs, claim)
    if jobs == 0 then return end
    claim = claim or call('INCR', P .. ':claims')
    write('RPUSH', P .. ':leased:' .. claim, groups)
    call('ZADD', P .. ':lease', until_, claim)
    call('HSET', P .. ':holding', claim, jobs)
    return claim
end

-- Jobs of a tenant that stand together: how long its name is (one byte), its name, the ids.
local function group_of(tenant, ids) return string.char(#tenant) .. tenant .. table.concat(ids) end

-- The ids in a text, from a place on.
local function ids_in(text, from)
    local ids = {}
    for at = from, #text - 15, 16 do ids[#ids + 1] = string.sub(text, at, at + 15) end
    return ids
end

local function end_leases(claim)
    call('ZREM', P .. ':lease', claim)
    call('HDEL', P .. ':holding', claim)
    call('DEL', P .. ':leased:' .. claim)
end

local function release_leases()
    for claim, jobs in pairs(RELEASED) do
        if call('HINCRBY', P .. ':holding', claim, -jobs) <= 0 then end_leases(claim) end
    end
    RELEASED = {}
end

-- Writes lanes, tenants and kinds that were changed; answers what could not be written.
local function save()
    release_leases()
    for _, lane in pairs(LANES) do
        if lane.is_dirty then
            lane.is_dirty = false
            protected(save_lane, lane)
        end
    end
    for _, tenant in pairs(TENANTS) do
        if tenant.is_dirty then
            tenant.is_dirty = false
            protected(save_tenant, tenant)
        end
    end
    for name, kind in pairs(KINDS) do
        if kind.is_dirty then
            kind.is_dirty = false
            call('HSET', P .. ':kind:' .. name, 'tag', kind.tag, 'era', kind.era, 'turn', kind.turn,
                'running', most_of(kind.running, 0), 'lanes', kind.lanes)
        end
    end
end

-- How many more jobs of a kind may run, by its own pause and cap.
local function room_of(kind)
    if is_paused('everything') or is_paused('kind:' .. kind.name) then return 0 end
    return kind.most and most_of(kind.most - kind.running, 0) or huge
end

-- Takes a sleeper off all lists that it is on. Its name says which: `<waiter> <kind> <kind>`. Answers its waiter, and the
-- kinds whose timer it kept.
local function take_off(sleeper)
    local waiter, left = nil, {}
    for word in string.gmatch(sleeper, '%S+') do
        if waiter then
            call('ZREM', P .. ':asleep:' .. word, sleeper)
            local kept = call('GET', P .. ':timer:' .. word)
            if kept and string.match(kept, '^%S+ (.*)$') == sleeper then
                call('DEL', P .. ':timer:' .. word)
                left[#left + 1] = word
            end
        else
            waiter = word
        end
    end
    return waiter, left
end

-- Wakes one of those that sleep for a kind, better one that does not keep its timer; `whatever` also where nothing is ready.
-- Where it kept the timer of a kind, another one wakes to keep it: else all would sleep on when the time comes.
local function wake(name, whatever)
    local asleep = P .. ':asleep:' .. name
    if call('EXISTS', asleep) == 0 then return end
    if not whatever then
        local kind = kind_of(name)
        if call('EXISTS', kind.ring) == 0 or room_of(kind) == 0 then return end
    end
    -- Those that died asleep are passed over.
    call('ZREMRANGEBYSCORE', asleep, '-inf', string.format('%.0f', server_time()))
    local kept, first = call('GET', P .. ':timer:' .. name), call('ZRANGE', asleep, 0, 1)
    local keeper = kept and string.match(kept, '^%S+ (.*)$')
    local who = first[1] == keeper and first[2] or first[1]
    if not who then return end
    local waiter, left = take_off(who)
    call('ZREM', asleep, who)
    if waiter then
        local list = P .. ':wake:' .. waiter
        call('RPUSH', list, '1')
        call('PEXPIRE', list, 10000)
    end
    -- Each call takes a timer away, so that they come to an end.
    for _, kind_name in ipairs(left) do wake(kind_name, true) end
end

-- Wakes one sleeper of each kind that has got something, or that time will bring something before its timer says so: the
-- sleeper then keeps the new time.
local function wake_stirred()
    for name in pairs(STIRRED) do wake(name) end
    for name, at in pairs(TIMED) do
        if call('EXISTS', P .. ':asleep:' .. name) == 1 then
            local kept = call('GET', P .. ':timer:' .. name)
            local planned = kept and tonumber(string.match(kept, '^(%S+)')) or huge
            if at < planned then wake(name, true) end
        end
    end
end

-- Records.

local LETTERS = {{1, 'k'}, {2, 'u'}, {4, 'a'}, {8, 'b'}}
local function flags_of(bits)
    if bits == 0 then return '' end
    local letters = ''
    for _, pair in ipairs(LETTERS) do
        if floor(bits / pair[1]) % 2 == 1 then letters = letters .. pair[2] end
    end
    return letters
end

-- What scripts read of a body (body.rs).
local BODY = '>I8I8BI2BBI4I4I2B'

-- The record of a job that has none yet, from its body (body.rs); nothing where that can't be read.
local function fresh(body)
    if not body or #body < 32 then return nil end
    local created, sequence, format, payload, flags, rank, cost, attempts, _, length =
        struct.unpack(BODY, body)
    if format ~= 1 or payload > #body or rank > 3 then return nil end
    return {
        true, 1, 'w', 0, 0, 0, 0, 0, 0, 0, 0, NO_PRINT, '-', 0, 0, 0, flags_of(flags), string.sub(body, 33, 32 + length),
        created, rank, attempts, #body - payload, cost, sequence, '', '', '',
        flags >= 8 and string.sub(body, payload - 15, payload) or '', '', '',
    }
end

local function has(record, letter) return string.find(record[FLAGS], letter, 1, true) ~= nil end

local function add_flag(record, letter)
    if not has(record, letter) then record[FLAGS] = record[FLAGS] .. letter end
end

-- Pages.

local function open_page(name)
    return {
        tenant = tenant_of(name), name = name, run = P .. ':run:' .. name, records = {}, changed = {}, order = {},
        pushes = {}, backs = {}, due = {}, not_due = {}, released = {}, ended = {}, finished = 0, outputs = {},
        kinds = {}, lanes = {}, batches = {}, changed_batches = {}, raws = {},
    }
end

-- Reads the records of these jobs, where the page has not.
local function load_records(page, ids)
    local missing = {}
    for _, id in ipairs(ids) do
        if page.records[id] == nil and not missing[id] then
            missing[#missing + 1] = id
            missing[id] = true
        end
    end
    if #missing == 0 then return end
    local found = fetch(page.run, missing)
    for place, id in ipairs(missing) do page.records[id] = unpack_record(found[place]) end
end

local function changed(page, id, record)
    page.records[id] = record
    if not page.changed[id] then
        page.changed[id] = true
        page.order[#page.order + 1] = id
    end
end

-- Of ties.lua: the job waits for nobody any more; it has completed; it counts in its batch.
local untie, release, count_in_batch, write_batches

-- Moves a job to another state. To `w` it goes to the end of its lane, or, where it goes `back`, among those that have
-- been in it before, by its sequence: they go before all others. To `s` and `t` its time is RUN_AT.
local function move(page, id, record, to, back)
    local from, kind = record[STATE], record[KIND]
    local lane = lane_of(kind, page.name)
    page.lanes[lane] = true
    if from == 'w' then
        if lane.k > 0 and call('ZREM', lane.key .. ':back' .. record[PRIORITY], id) == 1 then
            lane.k = lane.k - 1
        else
            call('LREM', lane.key .. ':' .. record[PRIORITY], 1, id)
        end
    elseif from == 's' or from == 't' then
        local list = page.not_due[kind] or {}
        list[#list + 1] = id .. page.name
        page.not_due[kind] = list
    elseif from == 'r' then
        page.released[record[CLAIM]] = (page.released[record[CLAIM]] or 0) + 1
        page.kinds[kind] = (page.kinds[kind] or 0) - 1
        page.has_freed = true
        record[LEASE_UNTIL], record[CLAIM] = 0, 0
    elseif FINAL[from] then
        page.finished = page.finished - 1
        record[FINISHED_AT] = 0
    elseif from == 'b' then
        untie(page, id)
    end
    record[STATE] = to
    if to == 'w' then
        local list = lane.key .. (back and ':back' or ':') .. record[PRIORITY]
        local lists = back and page.backs or page.pushes
        local pushed = lists[list] or {}
        if back then
            pushed[#pushed + 1] = record[SEQUENCE]
            lane.k = lane.k + 1
        end
        pushed[#pushed + 1] = id
        lists[list] = pushed
    elseif to == 's' or to == 't' then
        local list = page.due[kind] or {}
        list[#list + 1], list[#list + 2] = record[RUN_AT], id .. page.name
        page.due[kind] = list
    elseif FINAL[to] then
        record[FINISHED_AT] = now
        page.finished = page.finished + 1
        page.ended[#page.ended + 1] = id
    end
    count(lane, page.tenant, record, from, to)
    changed(page, id, record)
    if FINAL[from] or FINAL[to] then
        if record[BATCH] ~= '' then count_in_batch(page, record[BATCH], from, to) end
        if to == 'c' and has(record, 'a') then release(page, id) end
    end
end

-- Writes a page. What another type of a key may refuse comes first.
local function close_page(page)
    local name = page.name
    for list, ids in pairs(page.pushes) do write('RPUSH', list, ids) end
    for list, ids in pairs(page.backs) do write('ZADD', list, ids) end
    if #page.outputs > 0 then write('HSET', P .. ':out:' .. name, page.outputs) end
    if #page.ended > 0 then
        local length = call('RPUSH', P .. ':ended:' .. name, struct.pack('>I8', now) .. table.concat(page.ended))
        if length == 1 then call('ZADD', P .. ':ending', now, name) end
    end
    if #page.order > 0 then
        local pairs_of = {}
        for place, id in ipairs(page.order) do
            pairs_of[2 * place - 1], pairs_of[2 * place] = id, pack_record(page.records[id])
        end
        write('HSET', page.run, pairs_of)
    end
    write_batches(page)
    if #page.raws > 0 then write('HSET', page.run, page.raws) end
    for kind, list in pairs(page.not_due) do write('ZREM', P .. ':due:' .. kind, list) end
    for kind, list in pairs(page.due) do
        write('ZADD', P .. ':due:' .. kind, list)
        for place = 1, #list, 2 do TIMED[kind] = least(TIMED[kind] or huge, list[place]) end
    end
    for claim, jobs in pairs(page.released) do RELEASED[claim] = (RELEASED[claim] or 0) + jobs end
    page.tenant.finished = page.tenant.finished + page.finished
    for kind_name, running in pairs(page.kinds) do
        local kind = kind_of(kind_name)
        kind.running, kind.is_dirty = kind.running + running, true
        STIRRED[kind_name] = true
    end
    for lane in pairs(page.lanes) do settle_standing(lane) end
    -- Only a limit or a pause holds lanes.
    if page.has_freed and (page.tenant.is_limited or has_any_pause()) then protected(unhold, name) end
end

-- A page that failed is not written: what was read of its tenant is forgotten.
local function forget_page(page)
    TENANTS[page.name] = nil
    for name, lane in pairs(LANES) do
        if lane.tenant == page.name then LANES[name] = nil end
    end
end
