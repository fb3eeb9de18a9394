-- enqueue.lua: gives jobs to Presswork. README.md beside this file says how to call it.
-- KEYS[1] the shard on which the tenant lives, {pw:0}; on a Cluster also KEYS[2], {pw:0}:
-- ARGV for each job two: the job (a JSON object) and its payload (JSON text).
-- Returns for each job one JSON text: what became of it.
-- Made by src/queue/redis/shipped.rs: change nothing here.

local FORMAT, MOST_JOBS, MOST_BYTES, MOST_TIME, MOST_JOB_BYTES = 1, 1000, 4194304, 9007199254740992, 65536
local MOST_PAYLOAD_BYTES, MOST_COST, DEFAULT_ATTEMPTS = 262144, 1000000, 5
local MOST_DEPENDENCIES, RETRY_AFTER = 100, 5

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

-- What is asked, checked as Presswork's own producers check it, and put as enqueue.lua further down takes it.

if not is_shard(KEYS[1]) or #KEYS > 2 or (KEYS[2] and KEYS[2] ~= KEYS[1] .. ':') then
    return redis.error_reply('PRESSWORK the key is the shard: {pw:0}; on a Cluster two keys: {pw:0} and {pw:0}:')
end
if #ARGV == 0 or #ARGV % 2 ~= 0 or #ARGV > 2 * MOST_JOBS then
    return redis.error_reply('PRESSWORK each job takes two arguments, itself and its payload, and a call takes 1 to '
        .. MOST_JOBS .. ' jobs')
end

local told = {} -- for each job, what is answered
local tell_job

local asked -- what enqueue.lua is given
local runs = {} -- the places of each run's jobs

do
    local FIELDS = {
        id = true, tenant = true, kind = true, version = true, priority = true, cost = true, max_attempts = true,
        delay = true, run_at = true, idempotency_key = true, unique = true, after = true, batch = true,
    }
    local RANKS = {urgent = 0, high = 1, normal = 2, low = 3}
    local WINDOWS = {waiting = 'w', unfinished = 'u'}
    local DEVICES = {con = true, prn = true, aux = true, nul = true}
    local time = redis.call('TIME')
    local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

    local function wrong(text) error({reason = text}, 0) end

    local function name_of(job, what)
        local name = job[what]
        if type(name) ~= 'string' then wrong('`' .. what .. '` is missing: the name of a ' .. what .. ', a text') end
        if #name < 1 or #name > 64 then wrong(what .. ' names have 1 to 64 characters') end
        if not string.match(name, '^[a-z0-9][a-z0-9_-]*$') then
            wrong(what .. ' names are made of a-z, 0-9, - and _ and begin with a letter or a digit')
        end
        if DEVICES[name] or string.match(name, '^com%d$') or string.match(name, '^lpt%d$') then
            wrong(what .. ' names may not be device names on Windows: ' .. name)
        end
        return name
    end

    local function number_of(job, what, least, most, default)
        local number = job[what]
        if number == nil then return default end
        -- What is no number fails the comparisons, too.
        if type(number) ~= 'number' or not (number >= least and number <= most) or number % 1 ~= 0 then
            wrong('`' .. what .. '` must be a whole number from ' .. least .. ' to ' .. string.format('%.0f', most))
        end
        return number
    end

    local function key_of(key, what)
        if type(key) ~= 'string' or #key < 1 or #key > 200 or string.find(key, '[^!-~]') then
            wrong('`' .. what .. '` must be 1 to 200 printable ASCII characters without spaces')
        end
        return key
    end

    local function word_of(job, what, words, default)
        local word = job[what]
        if word == nil then return default end
        local found = type(word) == 'string' and words[word]
        if not found then
            local known = {}
            for name in pairs(words) do known[#known + 1] = name end
            table.sort(known)
            wrong('`' .. what .. '` must be one of ' .. table.concat(known, ', '))
        end
        return found
    end

    local function time_of(job)
        local seconds, base = job.run_at, 0
        if job.delay ~= nil then
            if seconds ~= nil then wrong('give `delay` or `run_at`, not both') end
            seconds, base = job.delay, now
        end
        if seconds == nil then return '' end
        local name = base == 0 and 'run_at' or 'delay'
        local at = type(seconds) == 'number' and base + math.floor(seconds * 1000000 + 0.5)
        if not at or not (seconds >= 0 and at <= MOST_TIME) then
            wrong('`' .. name .. '` must be seconds ' .. (base == 0 and 'since 1970' or 'from now')
                .. ', at least 0 and before the year 2255')
        end
        return string.format('%.0f', at)
    end

    -- Only what is named, so that a slip of the pen is told.
    local function only(object, fields, what)
        for name in pairs(object) do
            if not fields[name] then wrong('there is no `' .. string.sub(tostring(name), 1, 64) .. '` in ' .. what) end
        end
    end

    local function after_of_job(job, own)
        if job.after == nil then return '', 0 end
        if type(job.after) ~= 'table' then wrong('`after` must be an array of job ids') end
        local ids, seen = {}, {}
        for place, text in pairs(job.after) do
            local id = id_bytes('job_', text)
            if type(place) ~= 'number' or not id then wrong('`after` must be an array of job ids, as `job_…`') end
        end
        for _, text in ipairs(job.after) do
            local id = id_bytes('job_', text)
            if id == own then wrong(text .. " can't wait for itself") end
            if not seen[id] then
                seen[id] = true
                ids[#ids + 1] = id
            end
        end
        if #ids > MOST_DEPENDENCIES then
            wrong('the job is to wait for ' .. #ids .. ' others, ' .. MOST_DEPENDENCIES .. ' may be')
        end
        return table.concat(ids), #ids
    end

    local function with_length(text) return string.char(#text) .. text end

    -- One job as the door takes it.
    local function read(text, payload)
        if #text > MOST_JOB_BYTES then wrong('the job has more than ' .. MOST_JOB_BYTES .. ' bytes besides its payload') end
        local is_fine, job = pcall(cjson.decode, text)
        -- An array has numbers where an object has names.
        if not is_fine or type(job) ~= 'table' then wrong('the job is not a JSON object') end
        for name, value in pairs(job) do
            if value == cjson.null then job[name] = nil end
        end
        only(job, FIELDS, 'a job')
        local id = id_bytes('job_', job.id) or uuid_bytes(job.id)
        if not id then wrong('`id` must be a UUID, made anew for each job, or `job_…`') end
        local tenant, kind = name_of(job, 'tenant'), name_of(job, 'kind')
        if #payload > MOST_PAYLOAD_BYTES then
            wrong('the payload has ' .. #payload .. ' bytes, ' .. MOST_PAYLOAD_BYTES
                .. ' are allowed: put what is large into storage and name it here')
        end
        local rank = word_of(job, 'priority', RANKS, RANKS.normal)
        local cost = number_of(job, 'cost', 1, MOST_COST, 1)
        local attempts = number_of(job, 'max_attempts', 1, 4294967295, DEFAULT_ATTEMPTS)
        local version = number_of(job, 'version', 0, 65535, 1)
        local run_at = time_of(job)
        local key = job.idempotency_key == nil and '' or key_of(job.idempotency_key, 'idempotency_key')
        local unique, window = '', ''
        if job.unique ~= nil then
            if type(job.unique) ~= 'table' then wrong('`unique` must be an object of `key` and `window`') end
            only(job.unique, {key = true, window = true}, '`unique`')
            unique, window = key_of(job.unique.key, 'key'), word_of(job.unique, 'window', WINDOWS)
            if not window then wrong('`unique` wants a `window`: waiting or unfinished') end
        end
        local after, count = after_of_job(job, id)
        local batch = ''
        if job.batch ~= nil then
            batch = id_bytes('batch_', job.batch)
            if not batch then wrong('`batch` must be the id of an open batch, `batch_…`') end
        end
        -- The layout of body.rs.
        local flags = (key ~= '' and 1 or 0) + (unique ~= '' and 2 or 0) + (after ~= '' and 4 or 0) + (batch ~= '' and 8 or 0)
        local parts = {
            struct.pack('>BBI4I4I2', flags, rank, cost, attempts, version), with_length(kind),
            key ~= '' and with_length(key) or '',
            unique ~= '' and string.char(window == 'u' and 1 or 0) .. with_length(unique) or '',
            after ~= '' and string.char(count) .. after or '', batch,
        }
        local rest = table.concat(parts)
        return {
            id = id, tenant = tenant, kind = kind, rank = rank, bytes = #payload, run_at = run_at, key = key,
            unique = window .. unique, after = after, batch = batch, is_plain = flags == 0 and run_at == '',
            body = struct.pack('>BI2', FORMAT, 16 + 3 + #rest) .. rest .. payload,
        }
    end

    -- The answer to a job; what is refused has a word for programs and one for people.
    function tell_job(place, status, id, refusal, reason, more)
        local text = '{"status":"' .. status .. '"'
        if id then text = text .. ',"job":"' .. id_text('job_', id) .. '"' end
        if refusal then text = text .. ',"refusal":"' .. refusal .. '","reason":' .. cjson.encode(reason) .. (more or '') end
        told[place] = text .. '}'
    end

    -- Jobs that follow each other in one lane make a run; no id is in a run twice.
    local bytes, last = 0, nil
    for place = 1, #ARGV / 2 do
        bytes = bytes + #ARGV[2 * place]
        if bytes > MOST_BYTES then
            return redis.error_reply('PRESSWORK the payloads of one call may have ' .. MOST_BYTES .. ' bytes together')
        end
        local is_fine, job = pcall(read, ARGV[2 * place - 1], ARGV[2 * place])
        if is_fine then
            local belongs = last and last.tenant == job.tenant and last.kind == job.kind and last.rank == job.rank
                and last.is_plain == job.is_plain and not last.ids[job.id]
            if not belongs then
                last = {
                    tenant = job.tenant, kind = job.kind, rank = job.rank, is_plain = job.is_plain, ids = {}, jobs = {},
                    places = {}, bytes = 0,
                }
                runs[#runs + 1] = last
            end
            last.ids[job.id], last.bytes = true, last.bytes + job.bytes
            last.jobs[#last.jobs + 1], last.places[#last.places + 1] = job, place
        elseif type(job) == 'table' and job.reason then
            tell_job(place, 'refused', nil, 'invalid', job.reason)
        else
            return redis.error_reply('PRESSWORK ' .. tostring(job))
        end
    end

    asked = {string.format('%.0f', now)}
    local function put(value) asked[#asked + 1] = value end
    for _, run in ipairs(runs) do
        for _, value in ipairs({
            run.tenant, '0', '1', run.kind, tostring(run.rank), run.is_plain and 'p' or 'o', tostring(#run.jobs),
            tostring(run.bytes),
        }) do put(value) end
        for _, job in ipairs(run.jobs) do
            put(job.id)
            put(job.body)
            if not run.is_plain then
                for _, value in ipairs({job.run_at, job.key, job.unique, job.after, job.batch}) do put(value) end
            end
        end
    end
end

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

end)(asked)

-- What the door answered, as JSON. door.lua says what stands for what.

local function told_of(place, job, answer, waiting, bytes)
    local function refused(refusal, reason, more) tell_job(place, 'refused', job.id, refusal, reason, more) end
    local function full(what, limit)
        refused('full', 'tenant ' .. job.tenant .. ' has ' .. limit .. ' ' .. what .. ', its limit',
            ',"limit":' .. limit .. ',"retry_after":' .. RETRY_AFTER)
    end
    if answer == 1 then
        tell_job(place, 'accepted', job.id)
    elseif answer == 2 then
        tell_job(place, 'duplicate', job.id)
    elseif answer == 3 then
        full('waiting jobs', waiting)
    elseif answer == 4 then
        full('bytes of waiting payloads', bytes)
    elseif type(answer) == 'string' and #answer == 16 then
        tell_job(place, 'duplicate', answer)
    else
        local word, rest = string.sub(tostring(answer), 1, 1), string.sub(tostring(answer), 2)
        if word == 'u' then
            refused('invalid', id_text('job_', rest) .. " is not there, so no job can wait for it: enqueue it first")
        elseif word == 'm' then
            refused('invalid', 'as many jobs wait for ' .. id_text('job_', rest) .. ' as may: use a batch and its callback')
        elseif word == 'n' then
            refused('invalid', id_text('batch_', job.batch) .. ' is not open: open it first')
        elseif word == 'f' then
            refused('invalid', id_text('batch_', job.batch) .. ' is full: it was opened for ' .. rest .. ' jobs')
        else
            refused('unreadable', "the job can't be kept: " .. tostring(answer))
        end
    end
end

for number, run in ipairs(runs) do
    local answer = answers[number]
    for place, job in ipairs(run.jobs) do
        if type(answer) == 'table' then
            local each = answer[3]
            if type(each) == 'table' then each = each[place] end
            told_of(run.places[place], job, each, answer[1], answer[2])
        else
            tell_job(run.places[place], 'refused', job.id, 'unreadable',
                'what is stored of tenant ' .. run.tenant .. " can't be read: an operator has to mend it")
        end
    end
end
return told
