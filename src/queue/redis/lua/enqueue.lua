-- enqueue: (nothing) -> waiting | scheduled.
-- KEYS[1] shard
-- ARGV time, then for each section: tenant, 1 where it is taken whole or not at all, how many runs; for each run: kind,
--      rank of the priority, `p`(lain) or `o`(dd), how many jobs, bytes of their payloads; for each job: id, body, and of
--      an odd one also what door.lua says
-- Returns for each section {limits of waiting jobs and bytes ('' for none), then for each run 1 where all were accepted,
--      else for each job what door.lua answers}; {0} where it was not taken whole; an error text where its tenant's keys
--      can't be used.
-- O(jobs).

local place = 2
local function word()
    place = place + 1
    return ARGV[place - 1]
end

-- Jobs that follow each other stand together in the tenant's index: an entry for each costs more than all the rest.
local MOST_LISTED = 64

-- The jobs of a run that are new; their places in it.
local function accept(tenant, lane, rank, ids, bodies)
    local name, total = tenant.name, #ids
    local list, index = lane.key .. ':' .. rank, P .. ':index:' .. name
    local last = call('INCRBY', P .. ':sequence', total)
    local first, time, stored = last - total, struct.pack('>I8', now), {}
    write('RPUSH', list, ids)
    local problem = protected(function()
        for from = 1, total, MOST_LISTED do
            local listed = table.concat(ids, '', from, least(from + MOST_LISTED - 1, total))
            call('XADD', index, string.format('%.0f-0', first + from), '', listed)
        end
    end)
    if problem then
        call('LTRIM', list, 0, -1 - total)
        error(problem)
    end
    for number_of = 1, total do
        stored[2 * number_of - 1] = ids[number_of]
        stored[2 * number_of] = time .. struct.pack('>I8', first + number_of) .. bodies[number_of]
    end
    write('HSET', P .. ':job:' .. name, stored)
end

local function take_plain(tenant, kind, rank, jobs, bytes)
    local ids, bodies, answers = {}, {}, {}
    for number_of = 1, jobs do ids[number_of], bodies[number_of] = word(), word() end
    local known = fetch(P .. ':job:' .. tenant.name, ids)
    local fits = tenant.waiting + jobs <= tenant.most_waiting and tenant.bytes + bytes <= tenant.most_bytes
    local is_whole = fits
    if fits then
        for number_of = 1, jobs do is_whole = is_whole and not known[number_of] end
    end
    if not is_whole then
        local new_ids, new_bodies, count_of, sum = {}, {}, tenant.waiting, tenant.bytes
        for number_of = 1, jobs do
            local payload = payload_of(bodies[number_of])
            if known[number_of] then
                answers[number_of] = 2
            elseif count_of >= tenant.most_waiting then
                answers[number_of] = 3
            elseif sum + payload > tenant.most_bytes then
                answers[number_of] = 4
            else
                answers[number_of] = 1
                count_of, sum = count_of + 1, sum + payload
                new_ids[#new_ids + 1], new_bodies[#new_bodies + 1] = ids[number_of], bodies[number_of]
            end
        end
        ids, bodies, bytes = new_ids, new_bodies, sum - tenant.bytes
        if #ids == 0 then return answers end
    end
    local lane = lane_of(kind, tenant.name)
    accept(tenant, lane, rank, ids, bodies)
    lane.w, lane.is_dirty = lane.w + #ids, true
    if rank ~= 2 then lane['w' .. rank] = lane['w' .. rank] + #ids end
    tenant.waiting, tenant.bytes, tenant.is_dirty = tenant.waiting + #ids, tenant.bytes + bytes, true
    settle_standing(lane)
    STIRRED[kind] = true
    return is_whole and 1 or answers
end

local function section(answer, name, is_grouped, runs)
    local page = open_page(name)
    local tenant = page.tenant
    answer[1] = tenant.most_waiting < huge and string.format('%.0f', tenant.most_waiting) or ''
    answer[2] = tenant.most_bytes < huge and string.format('%.0f', tenant.most_bytes) or ''
    for run = 1, runs do
        local kind, rank, sort, jobs, bytes = word(), tonumber(word()), word(), tonumber(word()), tonumber(word())
        if sort == 'p' then
            answer[2 + run] = take_plain(tenant, kind, rank, jobs, bytes)
        else
            local answers = {}
            for number_of = 1, jobs do answers[number_of] = admit(page, kind, rank, word(), word(), word(), word(), word(), word(), word()) end
            answer[2 + run] = answers
        end
    end
    close_page(page)
end

-- Whether a grouped section fits as a whole, whatever of it is there already.
local function fits_whole(name, runs)
    local tenant, jobs, bytes, here = tenant_of(name), 0, 0, place
    for _ = 1, runs do
        jobs, bytes = jobs + tonumber(ARGV[here + 3]), bytes + tonumber(ARGV[here + 4])
        here = here + 5 + 2 * tonumber(ARGV[here + 3])
    end
    return tenant.waiting + jobs <= tenant.most_waiting and tenant.bytes + bytes <= tenant.most_bytes
end

local function behind(from, runs)
    for _ = 1, runs do
        local each = ARGV[from + 2] == 'p' and 2 or 7
        from = from + 5 + each * tonumber(ARGV[from + 3])
    end
    return from
end

local answers = {}
while place <= #ARGV do
    local name, is_grouped, runs = word(), word() == '1', tonumber(word())
    local next_section, answer = behind(place, runs), {}
    local problem = protected(function()
        if is_grouped and not fits_whole(name, runs) then
            answer = {0}
        else
            section(answer, name, is_grouped, runs)
        end
    end)
    if problem then forget_page({name = name}) end
    answers[#answers + 1] = problem or answer
    place = next_section
end
save()
wake_stirred()
return answers
