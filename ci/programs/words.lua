-- Strings, tables and the collector: a generator of words, a concordance of them, and what is left of it.
local seed = 42
local function random(limit)
    seed = (seed * 1103515245 + 12345) % 2147483648
    return seed // 65536 % limit + 1
end

local function word()
    local letters = {}
    for at = 1, 2 + random(4) do letters[at] = string.char(96 + random(26)) end
    return table.concat(letters)
end

local found, text = {}, {}
for at = 1, 400000 do
    local next = word()
    found[next] = found[next] or {}
    table.insert(found[next], at)
    if at % 5 == 0 then text[#text + 1] = next:upper() .. at end
    if at % 50000 == 0 then collectgarbage() end
end

local names = {}
for name, places in pairs(found) do
    if #places > 3 then names[#names + 1] = name end
end
table.sort(names)
for _, name in ipairs(names) do print(name, #found[name], found[name][1], found[name][#found[name]]) end
local all = table.concat(text, " ")
print(#names, #all, all:sub(-40), select(2, all:gsub("AB", "")))
