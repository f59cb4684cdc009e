-- What a recorded case is wrapped in: turns all results (or the error) into one text in which nothing is lost.
local function text(v, depth)
  local kind = type(v)
  if kind == 'number' then
    if v ~= v then return 'nan' end
    return string.format('%.17g', v)
  elseif kind == 'string' then
    if #v > 400 then return 's' .. #v .. ':' .. string.sub(v, 1, 100) .. '...' .. string.sub(v, -50) end
    return 's' .. #v .. ':' .. v
  elseif kind == 'table' then
    if depth > 60 then return '{...}' end
    local items = {}
    for k, x in pairs(v) do items[#items + 1] = text(k, depth + 1) .. '=' .. text(x, depth + 1) end
    table.sort(items)
    return '{' .. table.concat(items, ' ') .. '}'
  elseif kind == 'userdata' then
    return v == cjson.null and 'null' or 'userdata'
  elseif kind == 'boolean' or kind == 'nil' then
    return tostring(v)
  end
  return kind
end
local function pack_results(...)
  return {n = select('#', ...), ...}
end
local function show(f)
  local ok, r = pcall(f)
  if not ok then return 'error ' .. text(r, 0) end
  local items = {}
  for i = 1, r.n do items[i] = text(r[i], 0) end
  return table.concat(items, ', ')
end
