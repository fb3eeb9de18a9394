-- What time moves: leases that have lapsed, delays that are over. A bounded number a call. Wants transition.lua.

-- Members of a zset of jobs (16 bytes of id, then the tenant) by tenant, in order.
local function by_tenant(members)
    local order, groups = {}, {}
    for _, member in ipairs(members) do
        local tenant, id = string.sub(member, 17), string.sub(member, 1, 16)
        local group = groups[tenant]
        if not group then
            group = {}
            groups[tenant], order[#order + 1] = group, tenant
        end
        group[#group + 1] = id
    end
    return order, groups
end

-- Works on each tenant's jobs; `again` is given those of a tenant that fails.
local function each_tenant(order, groups, trouble, work, again)
    for _, tenant in ipairs(order) do
        local page
        local problem = protected(function()
            page = open_page(tenant)
            load_records(page, groups[tenant])
            for _, id in ipairs(groups[tenant]) do work(page, id, page.records[id]) end
            close_page(page)
        end)
        if problem then
            if page then forget_page(page) end
            again(tenant, groups[tenant])
            trouble(tenant, problem)
        end
    end
end

-- Ends a job whose record can't be read any more: what is known of it stands in its body. Whether that could be read.
local function end_unreadable(page, id, state, trouble)
    local record = fresh(call('HGET', P .. ':job:' .. page.name, id))
    if not record then return false end
    record[STATE], record[ATTEMPT] = state, record[MOST_ATTEMPTS]
    record[REASON] = '=what was stored of its attempts could not be read'
    move(page, id, record, 'd')
    note_state(record, page.name, id, now, string.sub(record[REASON], 2))
    trouble(page.name, 'the record of a job can not be read: dead')
    return true
end

-- Ends lapsed leases, of whatever kind: until then they count against their tenants' caps, which hold for all kinds
-- together. Answers how many.
local function lapse(time, most, trouble)
    local lapsed, looked = 0, 0
    for _, claim in ipairs(call('ZRANGEBYSCORE', P .. ':lease', '-inf', time, 'LIMIT', 0, most)) do
        if looked >= most then break end
        local order, groups, list = {}, {}, P .. ':leased:' .. claim
        local is_fine, found = pcall(call, 'LRANGE', list, 0, -1)
        if not is_fine then
            trouble(list, 'it is no list: its leases are lost')
            found = {}
        end
        for _, group in ipairs(found) do
            local length = string.byte(group) or 0
            local tenant, ids = string.sub(group, 2, length + 1), ids_in(group, length + 2)
            looked = looked + #ids
            if groups[tenant] then
                for _, id in ipairs(ids) do groups[tenant][#groups[tenant] + 1] = id end
            else
                groups[tenant], order[#order + 1] = ids, tenant
            end
        end
        each_tenant(order, groups, trouble, function(page, id, record)
            if record == false then return end_unreadable(page, id, 'r', trouble) end
            -- It may have ended or been renewed since.
            if not record or record[STATE] ~= 'r' or record[LEASE_UNTIL] > time then return end
            lapsed = lapsed + 1
            if record[CANCEL_ASKED] == 1 then
                move(page, id, record, 'x')
                note_state(record, page.name, id, now)
            elseif record[ATTEMPT] >= record[MOST_ATTEMPTS] then
                local reason = 'its worker died or lost its lease on the last attempt'
                record[REASON] = '=' .. reason
                move(page, id, record, 'd')
                note_state(record, page.name, id, now, reason)
            else
                move(page, id, record, 'w', true)
                note_state(record, page.name, id, now)
            end
        end, function(tenant, ids) lease(now + LATER, {group_of(tenant, ids)}, #ids) end)
        end_leases(claim)
        -- Somebody may have planted one that is no number.
        if tonumber(claim) then RELEASED[tonumber(claim)] = nil end
        looked = looked + 1
    end
    return lapsed
end

-- Moves a kind's due jobs into their lanes.
local function fall_due(kind, time, most, trouble)
    local due = P .. ':due:' .. kind
    local members = call('ZRANGEBYSCORE', due, '-inf', time, 'LIMIT', 0, most)
    if #members == 0 then return end
    local order, groups = by_tenant(members)
    each_tenant(order, groups, trouble, function(page, id, record)
        if record and (record[STATE] == 's' or record[STATE] == 't') and record[KIND] == kind then
            -- One that has run goes on before those that have not begun.
            move(page, id, record, 'w', record[EPOCH] > 0)
        elseif record ~= false or not end_unreadable(page, id, lane_of(kind, page.name).t > 0 and 't' or 's', trouble) then
            local list = page.not_due[kind] or {}
            list[#list + 1] = id .. page.name
            page.not_due[kind] = list
        end
    end, function(tenant, ids)
        for _, id in ipairs(ids) do call('ZADD', due, now + LATER, id .. tenant) end
    end)
end
