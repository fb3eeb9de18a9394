-- Events of jobs, for the scripts of the queue: part of each script that changes a state, behind prelude.lua and id_text.lua.
--
-- A change of state costs no key of its own: it is noted in the job's record (LOG), and told to those who listen.
-- What does not fit there stands in two streams, whose entries have the event's sequence number as their id (`7-0`)
-- and two fields: `a`, the time in microseconds, and `b`, what happened, as JSON without its braces.
--
-- | key | what |
-- | --- | --- |
-- | `P:events:<tenant>:<id>` | progress and text, once there is such; record[STREAM] holds 'e' |
-- | `P:states:<tenant>:<id>` | changes of state that are too many for the record; record[STREAM] holds 's' |
--
-- An event is told on the channel `<namespace>:progress:<tenant>`, on a Cluster (where scripts are given a second key)
-- `<namespace>:progress:<P>:<tenant>`, so that it lives in the shard's slot. Whoever publishes there asks first
-- whether somebody listens, once a tenant and script.

local note_state, forget_events, state_event, append_event, tell, trim_events, event_text, listened

do
    local MOST_LOGGED = 16
    local MOST_EVENTS, TRIMMED = 1000, 100
    local NAMES = {
        s = 'scheduled', w = 'waiting', b = 'blocked', r = 'running', t = 'retrying', c = 'completed', x = 'cancelled',
        d = 'dead',
    }
    local channels = {}

    -- The tenant's channel where somebody listens, else false.
    function listened(tenant)
        local channel = channels[tenant]
        if channel == nil then
            local namespace = string.match(P, '^{(.*):%d+}$') or P
            channel = namespace .. ':progress:' .. (KEYS[2] and (P .. ':') or '') .. tenant
            -- A user who may not ask or publish gets no news, and breaks no transition.
            local asked = redis.pcall('PUBSUB', 'SHARDNUMSUB', channel)
            if asked.err or asked[2] == 0 then channel = false end
            channels[tenant] = channel
        end
        return channel
    end

    -- RFC 3339 in UTC, to the microsecond. https://howardhinnant.github.io/date_algorithms.html (civil_from_days)
    local function time_text(micros)
        local floor = math.floor
        local seconds = floor(micros / 1000000)
        local days = floor(seconds / 86400)
        local second = seconds - days * 86400
        local shifted = days + 719468
        local era = floor(shifted / 146097)
        local day_of_era = shifted - era * 146097
        local year = floor((day_of_era - floor(day_of_era / 1460) + floor(day_of_era / 36524) - floor(day_of_era / 146096)) / 365)
        local day_of_year = day_of_era - (365 * year + floor(year / 4) - floor(year / 100))
        local month = floor((5 * day_of_year + 2) / 153)
        local day = day_of_year - floor((153 * month + 2) / 5) + 1
        month = month < 10 and month + 3 or month - 9
        year = year + era * 400 + (month <= 2 and 1 or 0)
        return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ', year, month, day, floor(second / 3600),
            floor(second / 60) % 60, second % 60, micros - seconds * 1000000)
    end

    -- What a change of state is as JSON without braces.
    function state_event(state, attempt, reason)
        local event = '"type":"state","state":"' .. (NAMES[state] or 'waiting') .. '","attempt":' .. string.format('%.0f', tonumber(attempt) or 0)
        if reason and reason ~= '' then event = event .. ',"reason":' .. cjson.encode(reason) end
        return event
    end

    -- An event as JSON, as others are told it.
    function event_text(tenant, id, sequence, at, event)
        return '{"tenant":"' .. tenant .. '","job":"' .. id_text('job_', id) .. '","sequence":' .. sequence .. ',"at":"' .. time_text(at)
            .. '",' .. event .. '}'
    end

    -- Tells those who listen.
    function tell(tenant, id, sequence, at, event)
        local channel = listened(tenant)
        if channel then redis.pcall('SPUBLISH', channel, event_text(tenant, id, sequence, at, event)) end
    end

    local function key_of(stream, tenant, id)
        return P .. (stream == 'e' and ':events:' or ':states:') .. tenant .. ':' .. id
    end

    local function length(record, stream, tenant, id)
        if not string.find(record[STREAM], stream, 1, true) then return 0 end
        local long = redis.pcall('XLEN', key_of(stream, tenant, id))
        return type(long) == 'number' and long or 0
    end

    -- Puts an event into a stream. Where something else stands under the key, or a number out of order, it makes room:
    -- a queue does not stop because one job's events are not what they should be.
    function append_event(record, stream, tenant, id, sequence, at, event)
        local key = key_of(stream, tenant, id)
        local place, time = sequence .. '-0', string.format('%.0f', at)
        local added = redis.pcall('XADD', key, place, 'a', time, 'b', event)
        if type(added) == 'table' and added.err then
            call('DEL', key)
            call('XADD', key, place, 'a', time, 'b', event)
        end
        local streams = record[STREAM]
        if not string.find(streams, stream, 1, true) then record[STREAM] = streams .. stream end
    end

    -- Keeps at most MOST_EVENTS: of progress and text the newest, changes of state before those.
    function trim_events(record, tenant, id)
        if record[STREAM] == '' or record[EVENTS] <= MOST_EVENTS then return end
        local logged, others = record[LOGGED], length(record, 'e', tenant, id)
        local states = length(record, 's', tenant, id)
        if logged + states + others <= MOST_EVENTS then return end
        local room = MOST_EVENTS - TRIMMED - logged
        if states > room then redis.pcall('XTRIM', key_of('s', tenant, id), 'MAXLEN', room) end
        if others > 0 then redis.pcall('XTRIM', key_of('e', tenant, id), 'MAXLEN', math.max(room - states, 0)) end
    end

    -- Notes a change of state in the job's record, which the caller then stores: give it the new state and attempt before.
    -- `id` is the job's 16 bytes; `reason` may be nil.
    function note_state(record, tenant, id, now, reason)
        local sequence = record[EVENTS] + 1
        local told = reason or ''
        record[EVENTS], record[LOGGED] = sequence, record[LOGGED] + 1
        record[LOG] = record[LOG] .. struct.pack(LOG_ENTRY, sequence, now, record[STATE], record[ATTEMPT], #told, told)
        if record[LOGGED] > MOST_LOGGED then
            for _, entry in ipairs(log_of(record)) do
                append_event(record, 's', tenant, id, entry[1], entry[2], state_event(entry[3], entry[4], entry[5]))
            end
            record[LOG], record[LOGGED] = '', 0
            trim_events(record, tenant, id)
        end
        if listened(tenant) then
            tell(tenant, id, sequence, now, state_event(record[STATE], record[ATTEMPT], reason))
        end
    end

    -- Removes the events of a job that is removed.
    function forget_events(record, tenant, id)
        if record and record[STREAM] ~= '' then call('UNLINK', key_of('e', tenant, id), key_of('s', tenant, id)) end
    end
end
