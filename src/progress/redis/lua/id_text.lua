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

