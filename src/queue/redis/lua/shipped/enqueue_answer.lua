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
