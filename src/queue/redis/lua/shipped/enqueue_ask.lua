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
