-- requeue: dead | cancelled -> waiting, with all attempts anew.
-- KEYS[1] shard   ARGV time, tenant, jobs
-- Returns for each job `requeued`, `-` where there is none, or the letter of the state from which that can't be. O(jobs).

local page, ids, answers = open_page(ARGV[2]), {}, {}
for place = 3, #ARGV do ids[place - 2] = ARGV[place] end
load_records(page, ids)
for place, id in ipairs(ids) do
    local record = page.records[id]
    if record == nil and call('HEXISTS', P .. ':job:' .. page.name, id) == 1 then
        answers[place] = 'w'
    elseif not record then
        answers[place] = '-'
    elseif record[STATE] ~= 'd' and record[STATE] ~= 'x' then
        answers[place] = record[STATE]
    else
        answers[place] = 'requeued'
        record[ATTEMPT], record[CANCEL_ASKED], record[RUN_AT] = 0, 0, now
        move(page, id, record, 'w', true)
        note_state(record, page.name, id, now)
    end
end
close_page(page)
save()
wake_stirred()
return answers
