import { type RedisScript, redisScript } from '@cays/core/redis-script'

// Decides a batch of operations, one after the other, in one call. All state is read by one MGET; what an
// operation changes is written at its end, and kept for the next one on the same key.
//
// KEYS: the state keys, operation by operation, policy by policy. ARGV[1]: JSON list of shapes (see
// operation.ts). ARGV[2]: one character per operation, '0' + the index of its shape.
//
// Reply: the time in microseconds, alone when it is not in the middle one of some shape's calendar windows:
// nothing was done then. Else, operation by operation, one of two forms.
// - Ordinary, all policies fit and none is blocked or resized: per policy the numbers of its state.
// - Otherwise a status below 0 (-1 denied, -2 less the microseconds until the grant begins), and per policy
//   flags (1 fits, 2 blocked, 4 own limit), the numbers of its state, for a paced check and for logs the
//   policy's wait (-1 for ever), and with flag 2 or 4 the block's end and the own limit.
//
// A value is four doubles (a, b, c, and when the key expires, in microseconds), with a block or an own limit
// six more: block's end, limit's end, limit. Sliding logs are lists: such a value first, then one
// (time, cost) per charge. The expiry is set ahead of need, so that most writes leave it as it is.
const LUA = `
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2]
local shapes = cjson.decode(ARGV[1])
local order = ARGV[2]
local floor, ceil, min, max, huge = math.floor, math.ceil, math.min, math.max, math.huge
local pack, unpackd, byte = struct.pack, struct.unpack, string.byte
local DEBT, QUOTA_DEBT, SLACK, AHEAD = 10, 3, 500000, 60000000

for s = 1, #shapes do
  local policies = shapes[s][3]
  for k = 1, #policies do
    local windows = policies[k][5]
    if #windows > 0 and (now < windows[4] or now >= windows[5]) then return { now } end
  end
end

-- The values as they are, by the place of their key's first mention.
local raw = #order > 0 and call('MGET', unpack(KEYS)) or {}
-- The operation under way, policy by policy: key and place, state, expiry, end of a block, own limit and its
-- end, whether it has to be written.
local keys, at, A, B, C, D, blocked, own, ends, dirty = {}, {}, {}, {}, {}, {}, {}, {}, {}, {}

local function index(windows, start)
  for i = 1, #windows do
    if windows[i] == start then return i end
  end
end

local function boundary(windows, start, steps)
  return windows[min(index(windows, start) + steps, #windows)]
end

-- By algorithm: bring the state to now and answer how long the cost has to wait. A state from the future (the
-- clock was set back) is moved to now and kept so, even by a denial.
local arrive = {
  function(k, p, l)
    local a, y, z = A[k], l[3], l[4]
    if C[k] ~= y then
      if C[k] > 0 then a = ceil(a * y / C[k]) end
      C[k] = y
    end
    local b, tick = B[k], floor(now / z)
    local ticks = tick - floor(b / z)
    if ticks > 0 then
      a = a - ticks * l[2]
      if a < 0 then a = 0 end
    end
    if b > now then dirty[k] = true end
    A[k], B[k] = a, now
    if p[3] > l[1] then return huge end
    local excess = a + p[3] * y - l[1] * y
    if excess <= 0 then return 0 end
    return (tick + ceil(excess / l[2])) * z - now
  end,
  function(k, p, l)
    local a, b, x, y = A[k], B[k], l[2], l[3]
    if b > now then
      b = now
      dirty[k] = true
    end
    local steps = floor((now - b) / y)
    if steps > 0 then
      a = a - steps * x
      if a < 0 then a = 0 end
      b = b + steps * y
    end
    if a == 0 then b = now end
    A[k], B[k] = a, b
    if p[3] > l[1] then return huge end
    local excess = a + p[3] - l[1]
    if excess <= 0 then return 0 end
    return b + ceil(excess / x) * y - now
  end,
  function(k, p, l)
    local windows, cap = p[5], l[1]
    if B[k] < windows[4] then
      local from = index(windows, B[k])
      A[k] = from and max(0, A[k] - (4 - from) * cap) or 0
    end
    if B[k] > windows[4] then dirty[k] = true end
    B[k] = windows[4]
    A[k] = min(A[k], QUOTA_DEBT * cap)
    if p[3] > cap then return huge end
    local excess = A[k] + p[3] - cap
    if excess <= 0 then return 0 end
    return boundary(windows, B[k], ceil(excess / cap)) - now
  end,
  function(k, p, l)
    local x = l[2]
    local start = floor(now / x) * x
    if A[k] < start then
      C[k] = A[k] == start - x and B[k] or 0
      B[k] = 0
    end
    if A[k] > start then dirty[k] = true end
    A[k] = start
    return C[k] * (x - (now - start)) / x + B[k] + p[3] <= l[1] and 0 or x
  end,
  function(k, p, l)
    local key, x = keys[k], l[2]
    if B[k] > now then
      local ahead, all = B[k] - now, call('LRANGE', key, 1, -1)
      for i = 1, #all do
        local time, cost = unpackd('<dd', all[i])
        call('LSET', key, i, pack('<dd', time - ahead, cost))
      end
      B[k], dirty[k] = now, true
    end
    local expired, before = 0, nil
    repeat
      before = expired
      local chunk = call('LRANGE', key, expired + 1, expired + 16)
      for i = 1, #chunk do
        local time, cost = unpackd('<dd', chunk[i])
        if time > now - x then break end
        A[k] = A[k] - cost
        expired = expired + 1
      end
    until expired < before + 16
    if expired > 0 then
      -- What is left of the last one makes room for the header, which is written with the rest.
      call('LTRIM', key, expired, -1)
      call('LSET', key, 0, '')
      dirty[k] = true
    end
    if p[3] > l[1] then return huge end
    local excess = A[k] + p[3] - l[1]
    if excess <= 0 then return 0 end
    local from = 1
    while true do
      local chunk = call('LRANGE', key, from, from + 63)
      for i = 1, #chunk do
        local time, held = unpackd('<dd', chunk[i])
        excess = excess - held
        if excess <= 0 then return time + x - now end
      end
      from = from + 64
    end
  end,
}

local function add(k, p, l)
  A[k] = min(A[k] + p[3], max(A[k], DEBT * l[1]))
end

local charge = {
  function(k, p, l)
    local a, y = A[k], l[3]
    A[k] = min(a + p[3] * y, max(a, DEBT * l[1] * y))
  end,
  add,
  function(k, p, l)
    A[k] = min(A[k] + p[3], QUOTA_DEBT * l[1])
  end,
  function(k, p, l)
    B[k] = min(B[k] + p[3], max(B[k], DEBT * l[1]))
  end,
  function(k, p, l)
    local cost = min(p[3], max(0, DEBT * l[1] - A[k]))
    if cost > 0 then
      if not raw[at[k]] then call('RPUSH', keys[k], '') end
      raw[at[k]] = true
      call('RPUSH', keys[k], pack('<dd', now, cost))
      A[k], B[k] = A[k] + cost, now
    end
  end,
}

local function take(k, p)
  local mark = p[6]
  if mark ~= 0 and mark[1] < B[k] then return end
  A[k] = max(0, A[k] - p[3])
end

local refund = {
  function(k, p, l)
    local mark, y = p[6], l[3]
    local back = p[3] * y
    if mark ~= 0 then
      local drained = max(0, floor(now / l[4]) - floor(mark[1] / l[4])) * l[2]
      local level = mark[2]
      if mark[3] > 0 and mark[3] ~= y then level = floor(level * y / mark[3]) end
      back = min(back, max(0, min(mark[4] * y, level - drained)))
    end
    A[k] = max(0, A[k] - back)
  end,
  take,
  take,
  function(k, p, l)
    local mark, cost = p[6], p[3]
    if mark ~= 0 and mark[1] < A[k] then
      if mark[1] >= A[k] - l[2] then C[k] = max(0, C[k] - cost) end
      return
    end
    local previous = mark ~= 0 and 0 or max(0, cost - B[k])
    B[k] = max(0, B[k] - cost)
    C[k] = max(0, C[k] - previous)
  end,
  function(k, p)
    local key, cost, mark = keys[k], p[3], p[6]
    if mark ~= 0 then
      local back, entry = min(cost, mark[4]), pack('<dd', mark[1], mark[4])
      if back < mark[4] then
        if call('LINSERT', key, 'BEFORE', entry, pack('<dd', mark[1], mark[4] - back)) <= 0 then return end
      end
      if call('LREM', key, 1, entry) > 0 then A[k] = A[k] - back end
      return
    end
    while cost > 0 and A[k] > 0 do
      local time, held = unpackd('<dd', call('RPOP', key))
      local back = min(cost, held)
      if back < held then call('RPUSH', key, pack('<dd', time, held - back)) end
      A[k], cost = A[k] - back, cost - back
    end
  end,
}

-- By algorithm: how long until nothing is in use.
local full = {
  function(k, p, l)
    return A[k] == 0 and 0 or (floor(now / l[4]) + ceil(A[k] / l[2])) * l[4] - now
  end,
  function(k, p, l)
    return A[k] == 0 and 0 or B[k] + ceil(A[k] / l[2]) * l[3] - now
  end,
  function(k, p, l)
    return A[k] == 0 and 0 or boundary(p[5], B[k], ceil(A[k] / l[1])) - now
  end,
  function(k, p, l)
    if B[k] > 0 then return A[k] + 2 * l[2] - now end
    return C[k] > 0 and A[k] + l[2] - now or 0
  end,
  function(k, p, l)
    return A[k] == 0 and 0 or B[k] + l[2] - now
  end,
}

local function header(k)
  local l = own[k]
  if l then
    return pack('<dddddddddd', A[k], B[k], C[k], D[k], blocked[k] or 0, ends[k], l[1], l[2], l[3], l[4])
  end
  if blocked[k] then return pack('<dddddddddd', A[k], B[k], C[k], D[k], blocked[k], 0, 0, 0, 0, 0) end
  return pack('<dddd', A[k], B[k], C[k], D[k])
end

local function write(k, p)
  local key, value, code = keys[k], raw[at[k]], p[1]
  local life = full[code](k, p, own[k] or p[4])
  if blocked[k] then life = max(life, blocked[k] - now) end
  if own[k] then life = max(life, ends[k] - now) end
  if life <= 0 then
    if value then call('DEL', key) end
    raw[at[k]] = false
    return
  end
  local lifetime
  if D[k] < now + life + SLACK then
    lifetime = ceil((life + min(life, AHEAD)) / 1000) + 1000
    D[k] = now + lifetime * 1000
  end
  local new = header(k)
  raw[at[k]] = new
  if code == 5 then
    if value then call('LSET', key, 0, new) else call('RPUSH', key, new) end
    if lifetime then call('PEXPIRE', key, lifetime) end
  elseif lifetime or #value ~= #new then
    call('SET', key, new, 'PX', lifetime or ceil((D[k] - now) / 1000))
  else
    call('SETRANGE', key, '0', new)
  end
end

local function apply(k, p, mode, argument)
  local code = p[1]
  if mode == 3 then
    charge[code](k, p, own[k] or p[4])
  elseif mode == 4 then
    refund[code](k, p, own[k] or p[4])
  elseif mode == 5 then
    blocked[k] = argument > 0 and now + argument or nil
  elseif mode == 6 then
    own[k] = p[6] ~= 0 and p[6] or nil
    ends[k] = now + argument
    arrive[code](k, p, own[k] or p[4])
  else
    if code == 5 then
      call('DEL', keys[k])
      raw[at[k]] = false
    end
    A[k], B[k], C[k], D[k], blocked[k] = 0, 0, 0, 0, nil
  end
  dirty[k] = true
end

local reply, size, base = { now }, 1, 0
local seen, waits = {}, {}

local function push(value)
  size = size + 1
  reply[size] = value
end

local function decide(mode, argument, policies)
  local count, longest, stopped, ordinary = #policies, 0, false, true
  for k = 1, count do
    local p, key = policies[k], KEYS[base + k]
    local i = seen[key]
    if not i then
      i = base + k
      seen[key] = i
      if p[1] == 5 then raw[i] = call('LINDEX', key, 0) end
    end
    local value = raw[i]
    keys[k], at[k], dirty[k] = key, i, false
    blocked[k], own[k] = nil, nil
    if value then
      A[k], B[k], C[k], D[k] = unpackd('<dddd', value)
      if #value > 32 then
        local block, expiry, cap, x, y, z = unpackd('<dddddd', value, 33)
        if block > now then blocked[k] = block end
        if expiry > now then own[k], ends[k] = { cap, x, y, z }, expiry end
      end
    else
      A[k], B[k], C[k], D[k] = 0, 0, 0, 0
    end
    local w = arrive[p[1]](k, p, own[k] or p[4])
    waits[k] = w
    if w > 0 then
      ordinary = false
      if w > longest and p[2] == 0 then longest = w end
    end
    if blocked[k] and p[2] == 0 then stopped = true end
  end
  local granted = not stopped and longest <= (mode == 1 and argument or 0)
  for k = 1, count do
    local p = policies[k]
    if mode == 1 then
      if granted and (p[2] == 0 or waits[k] == 0) then
        charge[p[1]](k, p, own[k] or p[4])
        dirty[k] = true
      end
    elseif mode > 2 then
      apply(k, p, mode, argument)
    end
    if dirty[k] then write(k, p) end
    if own[k] or blocked[k] then ordinary = false end
  end
  if not ordinary then push(granted and -2 - longest or -1) end
  for k = 1, count do
    local p, w = policies[k], waits[k]
    local code = p[1]
    if not ordinary then push((w == 0 and 1 or 0) + (blocked[k] and 2 or 0) + (own[k] and 4 or 0)) end
    push(A[k])
    if code > 1 then push(B[k]) end
    if code == 4 then push(C[k]) end
    if not ordinary then
      if code == 5 or (mode == 1 and argument > 0) then push(w == huge and -1 or w) end
      if blocked[k] or own[k] then
        push(blocked[k] or 0)
        local l = own[k] or p[4]
        for n = 1, 4 do push(l[n]) end
      end
    end
  end
end

for d = 1, #order do
  local shape = shapes[byte(order, d) - 47]
  local mode, policies = shape[1], shape[3]
  local p, key, new = policies[1], KEYS[base + 1], nil
  local code = p[1]
  -- What most calls are, without the tables: one GCRA, token bucket or fixed window that admits, on a key
  -- whose value keeps its form and its expiry. Whatever differs is decided below; the answers are the same.
  if mode == 1 and code < 3 and #policies == 1 then
    local i = seen[key] or base + 1
    local value = raw[i]
    if value and #value == 32 then
      local l = p[4]
      local x, y, z = l[2], l[3], l[4]
      local a, b, c, expiry = unpackd('<dddd', value)
      local left = expiry - SLACK - now
      if code == 1 then
        if b <= now and c == y then
          local ticks = z == 1 and now - b or floor(now / z) - floor(b / z)
          a = a - ticks * x
          a = (a > 0 and a or 0) + p[3] * y
          if a <= l[1] * y and (a / x + 1) * z <= left then new = pack('<dddd', a, now, c, expiry) end
        end
      elseif b <= now and now < b + y then
        a = a + p[3]
        if a <= l[1] and b + (a / x + 1) * y - now <= left then new = pack('<dddd', a, b, c, expiry) end
      end
      if new then
        call('SETRANGE', key, '0', new)
        seen[key], raw[i] = i, new
        size = size + 1
        reply[size] = a
        if code == 2 then
          size = size + 1
          reply[size] = b
        end
      end
    end
  end
  if not new then decide(mode, shape[2], policies) end
  base = base + #policies
end
return reply
`

export const decideScript: RedisScript = redisScript(LUA)
