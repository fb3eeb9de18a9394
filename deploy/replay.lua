-- replay.lua: tells what has happened to a job of Presswork. README.md beside this file says how to call it.
-- KEYS[1] the shard on which the tenant lives, {pw:0}; on a Cluster also KEYS[2], {pw:0}:
-- ARGV tenant, job, the sequence number after which to begin (0), how many events at most.
-- Returns one JSON text, nothing where there is no such job.
-- Made by src/queue/redis/shipped.rs: change nothing here.

local MOST_REPLAYED = 500
local event_of

-- An id as people read it: 128 bits in 26 digits of five.
local DIGITS = '0123456789abcdefghjkmnpqrstvwxyz'
local function id_text(prefix, id)
    local digits, rest, bits = {}, 0, 2
    for place = 1, #id do
        rest, bits = rest * 256 + string.byte(id, place), bits + 8
        while bits >= 5 do
            bits = bits - 5
            local digit = math.floor(rest / 2 ^ bits)
            rest = rest - digit * 2 ^ bits
            digits[#digits + 1] = string.sub(DIGITS, digit + 1, digit + 1)
        end
    end
    return prefix .. table.concat(digits)
end

-- Ids as people and programs write them, and the 16 bytes that they stand for; behind id_text.lua.

-- The 16 bytes behind `<prefix>` and 26 digits; nothing where that is not what the text is.
local function id_bytes(prefix, text)
    if type(text) ~= 'string' or #text ~= #prefix + 26 or string.sub(text, 1, #prefix) ~= prefix then return nil end
    local bytes, rest, bits = {}, 0, -2
    for place = #prefix + 1, #text do
        local digit = string.find(DIGITS, string.sub(text, place, place), 1, true)
        if not digit or (place == #prefix + 1 and digit > 8) then return nil end
        rest, bits = rest * 32 + digit - 1, bits + 5
        if bits >= 8 then
            bits = bits - 8
            local byte = math.floor(rest / 2 ^ bits)
            rest = rest - byte * 2 ^ bits
            bytes[#bytes + 1] = string.char(byte)
        end
    end
    return table.concat(bytes)
end

-- The 16 bytes behind a UUID's text; nothing where the text is none.
local function uuid_bytes(text)
    if type(text) ~= 'string' then return nil end
    local parts = {string.match(text, '^(%x+)%-(%x+)%-(%x+)%-(%x+)%-(%x+)$')}
    local lengths = {8, 4, 4, 4, 12}
    if #parts ~= #lengths then return nil end
    for place, part in ipairs(parts) do
        if #part ~= lengths[place] then return nil end
    end
    local digits = table.concat(parts)
    return (string.gsub(digits, '%x%x', function(pair) return string.char(tonumber(pair, 16)) end))
end

local function is_shard(key) return type(key) == 'string' and string.match(key, '^{[^{}]+:%d+}$') ~= nil end

-- What is asked, checked, and put as replay.lua further down takes it.

if not is_shard(KEYS[1]) or #KEYS > 2 or (KEYS[2] and KEYS[2] ~= KEYS[1] .. ':') then
    return redis.error_reply('PRESSWORK the key is the shard: {pw:0}; on a Cluster two keys: {pw:0} and {pw:0}:')
end
local job = id_bytes('job_', ARGV[2]) or uuid_bytes(ARGV[2])
local after, most = tonumber(ARGV[3] or 0), tonumber(ARGV[4] or MOST_REPLAYED)
if not job or not string.match(ARGV[1], '^[a-z0-9][a-z0-9_-]*$') or #ARGV[1] > 64 or #ARGV > 4 then
    return redis.error_reply('PRESSWORK the arguments are: tenant, job (`job_…` or a UUID), after (0), most ('
        .. MOST_REPLAYED .. ')')
end
if not (after and after >= 0 and after <= 2 ^ 53 and after % 1 == 0 and most and most >= 1 and most <= MOST_REPLAYED
    and most % 1 == 0) then
    return redis.error_reply('PRESSWORK after is a sequence number (0 for all), most is 1 to ' .. MOST_REPLAYED)
end
local tenant = ARGV[1]
local asked = {'', tenant, job, string.format('%.0f', after), tostring(most)}

local answers = (function(ARGV)

-- What all scripts of the queue share: the time, the names of keys, the record of a job.
-- KEYS[1] is the shard's hash tag, ARGV[1] the time in microseconds, empty for the server's own clock.

local P = KEYS[1]
local call = redis.call

local function server_time()
    local time = call('TIME')
    return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function clock()
    if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
    return server_time()
end

-- The record of a job: what changes of it. An array here, packed bytes in Redis; what is absent is 0 or ''.
-- 1 says that it could be unpacked, 2 is the format.
local STATE = 3 -- a letter: s(cheduled) w(aiting) b(locked) r(unning) t (retrying) c(ompleted) x (cancelled) d(ead)
local ATTEMPT = 4
local EPOCH = 5
local CANCEL_ASKED = 6 -- 0 or 1
local LEASE_UNTIL = 7 -- while it runs
local CLAIM = 8 -- while it runs: the number of the claim or renewal that gave its lease
local STARTED_AT = 9
local FINISHED_AT = 10
local SETTLED_EPOCH = 11 -- the last settlement that was applied: its lease,
local SETTLED_PRINT = 12 -- a fingerprint of its verdict (8 bytes),
local SETTLED_STATE = 13 -- and what it answered
local EVENTS = 14 -- the sequence number of the job's latest event
local TENTHS = 15 -- the highest percentage published, in tenths
local LOGGED = 16 -- how many entries its log has
local FLAGS = 17 -- what else hangs on the job, so that most jobs cost no look: u(nique) k(ey) a(fter: it has dependents or had dependencies) b(atch) o(utput) c(heckpoint)
local KIND = 18
local RUN_AT = 19
local PRIORITY = 20 -- 0 goes first
local MOST_ATTEMPTS = 21
local BYTES = 22 -- of the payload
local COST = 23
local SEQUENCE = 24 -- its place in the order of acceptance
local WORKER = 25 -- the latest
local REASON = 26 -- behind a `=`, where there is one
local STREAM = 27 -- which streams of events it has: e, s (events.lua)
local BATCH = 28 -- the batch that it belongs to (16 bytes)
local FOLLOWS = 29 -- the batch whose callback it is (16 bytes)
local LOG = 30 -- to the end: changes of state that stand in no stream, packed (`log_of`)

-- The bytes of a record: what changes often first, then what its body says of it too, then texts.
local HEAD, HEAD_BYTES = '>Bc1I4I4BI7I5I7I7I4c8c1I4I2B', 57
local START = HEAD .. 'Bc0Bc0'
local MIDDLE = '>I7BI4I3I3I6'
local TEXTS = '>I2c0I2c0Bc0Bc0Bc0'
local RECORD = START .. string.sub(MIDDLE, 2) .. string.sub(TEXTS, 2)
local NO_PRINT = '        '

local function pack_record(r)
    return struct.pack(RECORD, 1, r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15],
        r[16], #r[17], r[17], #r[18], r[18], r[19], r[20], r[21], r[22], r[23], r[24], #r[25], r[25], #r[26], r[26],
        #r[27], r[27], #r[28], r[28], #r[29], r[29]) .. r[30]
end

-- The record in these bytes: nothing where there are none, `false` where they are no record.
local function unpack_record(bytes)
    if not bytes then return nil end
    local record = {pcall(struct.unpack, RECORD, bytes)}
    if record[1] and record[2] == 1 and record[PRIORITY] <= 3 and string.find('swbrtcxd', record[STATE], 1, true) then
        record[LOG] = string.sub(bytes, record[LOG])
        return record
    end
    return false
end

-- An entry of a record's log: sequence, time, state, attempt, reason ('' for none).
local LOG_ENTRY = '>I4I7c1I4I2c0'

-- The log of a record, as arrays.
local function log_of(record)
    local entries, at = {}, 1
    for place = 1, record[LOGGED] do
        local entry = {pcall(struct.unpack, LOG_ENTRY, record[LOG], at)}
        if not entry[1] then break end
        entries[place], at = {entry[2], entry[3], entry[4], entry[5], entry[6]}, entry[7]
    end
    return entries
end

-- A lane, packed: standing; its jobs by state; of those that wait those of rank 0, 1, 3, and those that have been in it
-- before; tag, era, bucket, when it was served last and how many then, pace + 1.
local LANE = '>c1I4I4I4I4I4I4I4I4I4I4I4I4dI4I7I7I4I7'

-- The lane in these bytes; one that is idle where there are none.
local function unpack_lane(bytes)
    if not bytes then
        return {
            standing = 'i', s = 0, w = 0, b = 0, r = 0, t = 0, c = 0, x = 0, d = 0, w0 = 0, w1 = 0, w3 = 0, k = 0, tag = 0, era = 0,
            bucket = 0, served = 0, lately = 0, pace = -1, is_new = true,
        }
    end
    local standing, s, w, b, r, t, c, x, d, w0, w1, w3, k, tag, era, bucket, served, lately, pace = struct.unpack(LANE, bytes)
    return {
        standing = standing, s = s, w = w, b = b, r = r, t = t, c = c, x = x, d = d, w0 = w0, w1 = w1, w3 = w3, k = k, tag = tag,
        era = era, bucket = bucket, served = served, lately = lately, pace = pace - 1, is_new = false,
    }
end

-- What a tenant uses, packed: running, waiting, bytes waiting, lanes, whether it has limits, finished.
local LOAD = '>I5I5I7I4BI5'

-- An id as people read it: 128 bits in 26 digits of five.
local DIGITS = '0123456789abcdefghjkmnpqrstvwxyz'
local function id_text(prefix, id)
    local digits, rest, bits = {}, 0, 2
    for place = 1, #id do
        rest, bits = rest * 256 + string.byte(id, place), bits + 8
        while bits >= 5 do
            bits = bits - 5
            local digit = math.floor(rest / 2 ^ bits)
            rest = rest - digit * 2 ^ bits
            digits[#digits + 1] = string.sub(DIGITS, digit + 1, digit + 1)
        end
    end
    return prefix .. table.concat(digits)
end

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

event_of = event_text

-- replay: the kept events of a job above a number.
-- KEYS[1] shard   ARGV now (not used), tenant, id (16 bytes), after, most
-- Returns nothing where there is no such job; else its state (a letter), then for each event its sequence, its time and
-- what happened as JSON without braces; of what is no event something else. Reads only. O(most + changes of state).

local tenant, id, after, most = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local packed = redis.pcall('HGET', P .. ':run:' .. tenant, id)
if type(packed) ~= 'string' then
    -- A job that has never been claimed has no record, and nothing has happened to it.
    local known = redis.pcall('HEXISTS', P .. ':job:' .. tenant, id)
    return known == 1 and { 'w' } or {}
end
local record = unpack_record(packed)
if not record then return {} end

local found = {}
local streams = record[STREAM]
for stream, kind in pairs({ e = ':events:', s = ':states:' }) do
    if most > 0 and string.find(streams, stream, 1, true) then
        local range = redis.pcall('XRANGE', P .. kind .. tenant .. ':' .. id, '(' .. after .. '-18446744073709551615', '+', 'COUNT', most)
        for _, entry in ipairs(range.err and {} or range) do
            -- What is no event is told, too: whoever reads on must get past it. What has a number that none has been given yet is not.
            local sequence, fields = tonumber(string.match(entry[1], '^%d+')), entry[2]
            local body = string.match(entry[1], '-0$') and fields[4]
            if sequence <= record[EVENTS] then found[#found + 1] = { sequence, tonumber(fields[2]) or 0, body or '' } end
        end
    end
end
for _, entry in ipairs(log_of(record)) do
    if entry[1] > tonumber(after) then
        found[#found + 1] = { entry[1], entry[2], state_event(entry[3], entry[4], entry[5]) }
    end
end
table.sort(found, function(one, other) return one[1] < other[1] end)

local answer = { record[STATE] }
for place = 1, math.min(most, #found) do
    for _, part in ipairs(found[place]) do answer[#answer + 1] = part end
end
return answer

end)(asked)

-- The job's state, its events, and its output once it has completed, as one JSON text.

local STATES = {
    s = 'scheduled', w = 'waiting', b = 'blocked', r = 'running', t = 'retrying', c = 'completed', x = 'cancelled', d = 'dead',
}
local state = STATES[answers[1]]
if not state then return false end
local events = {}
for place = 2, #answers, 3 do
    events[#events + 1] = event_of(tenant, job, answers[place], answers[place + 1], answers[place + 2])
end
local text = '{"job":"' .. id_text('job_', job) .. '","state":"' .. state .. '","events":[' .. table.concat(events, ',')
    .. '],"more":' .. tostring(#events == most)
if answers[1] == 'c' then
    local output = redis.pcall('HGET', KEYS[1] .. ':out:' .. tenant, job)
    if type(output) == 'string' then text = text .. ',"output":' .. output end
end
return text .. '}'
