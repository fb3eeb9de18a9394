-- list: documents by key, from one place to another.
-- KEYS[1] collection   ARGV now, from and to (as ZRANGEBYLEX takes them), most, most bytes, most looked at
-- Returns {the key to go on after or '', key, document, key, document, ...}. O(log documents + looked at).
local from, to = ARGV[2], ARGV[3]
local most, most_bytes, most_seen = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local found, count, bytes, seen, last = { '' }, 0, 0, 0, nil
while true do
  local piece = redis.call('ZRANGEBYLEX', keys, from, to, 'LIMIT', 0, 100)
  if #piece == 0 then return found end
  for _, key in ipairs(piece) do
    -- Where much has expired and was not swept, a page ends early rather than hold up the server.
    if seen == most_seen then
      found[1] = last
      return found
    end
    seen, last = seen + 1, key
    -- One without a head is told as it is, so that it doesn't hide the others.
    local is_read, document = pcall(live, key)
    if not is_read then document = redis.call('HGET', documents, key) end
    if document then
      if count == most or bytes >= most_bytes then
        found[1] = found[#found - 1]
        return found
      end
      found[#found + 1] = key
      found[#found + 1] = document
      count, bytes = count + 1, bytes + #document
    end
  end
  from = '(' .. last
end
