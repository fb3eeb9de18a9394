-- cancel: scheduled | waiting | blocked | retrying -> cancelled; a running job is marked, and its handler told at its next
-- renewal.
-- KEYS[1] shard   ARGV time, tenant, jobs
-- Returns for each job `cancelled`, `asked`, `-` where there is none, or the letter of the state in which it had ended.
-- O(jobs), and the length of its lane for one that waits: where lanes are long only the first jobs are answered, at least
-- one, and the others are to be asked for again.

-- Places of lanes that are looked at before it stops.
local MOST_PLACES = 2000000

local page, ids, answers = open_page(ARGV[2]), {}, {}
for place = 3, #ARGV do ids[place - 2] = ARGV[place] end
load_records(page, ids)
local places = 0
for place, id in ipairs(ids) do
    if places > MOST_PLACES then break end
    local record = page.records[id]
    if record == nil then record = fresh(call('HGET', P .. ':job:' .. page.name, id)) end
    if not record then
        answers[place] = '-'
    elseif FINAL[record[STATE]] then
        answers[place] = record[STATE]
    elseif record[STATE] == 'r' then
        answers[place] = 'asked'
        if record[CANCEL_ASKED] == 0 then
            record[CANCEL_ASKED] = 1
            changed(page, id, record)
        end
    else
        answers[place] = 'cancelled'
        if record[STATE] == 'w' then places = places + lane_of(record[KIND], page.name).w end
        move(page, id, record, 'x')
        note_state(record, page.name, id, now)
    end
end
close_page(page)
save()
wake_stirred()
return answers
