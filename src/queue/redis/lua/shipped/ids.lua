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
