import { type RedisScript, redisScript } from '@cays/core/redis-script'

// Decides a batch of operations, one after the other, in one call. All state is read by one MGET, kept in
// tables while the batch runs, and what changed is written once at the end.
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
local raw = #order > 0 and call('MGET', unpack(KEYS)) or {}
-- State by the place of its key's first mention: numbers, expiry, end of a block, own limit and its end.
local A, B, C, D, blocked, own, ends = {}, {}, {}, {}, {}, {}, {}
-- What decides how long a changed state lives: the policy and the limit it was changed by.
local changed, how, last = {}, {}, {}

for s = 1, #shapes do
  local policies = shapes[s][3]
  for k = 1, #policies do
    local windows = policies[k][5]
    if #windows > 0 and (now < windows[4] or now >= windows[5]) then return { now } end
  end
end

local function change(i, p, l)
  if not how[i] then changed[#changed + 1] = i end
  how[i], last[i] = p, l
end

local function header(i)
  local l = own[i]
  if l then
    return pack('<dddddddddd', A[i], B[i], C[i], D[i], blocked[i] or 0, ends[i], l[1], l[2], l[3], l[4])
  end
  if blocked[i] then return pack('<dddddddddd', A[i], B[i], C[i], D[i], blocked[i], 0, 0, 0, 0, 0) end
  return pack('<dddd', A[i], B[i], C[i], D[i])
end

local function index(windows, start)
  for i = 1, #windows do
    if windows[i] == start then return i end
  end
end

local function boundary(windows, start, steps)
  return windows[min(index(windows, start) + steps, #windows)]
end

-- By algorithm: bring state i to now and answer how long its cost has to wait. A state from the future (the
-- clock was set back) is moved to now and kept so, even by a denial.
local arrive = {
  function(i, p, l)
    local a, x, y, z = A[i], l[2], l[3], l[4]
    if C[i] ~= y then
      if C[i] > 0 then a = ceil(a * y / C[i]) end
      C[i] = y
    end
    local tick = floor(now / z)
    local ticks = tick - floor(B[i] / z)
    if ticks > 0 then
      a = a - ticks * x
      if a < 0 then a = 0 end
    end
    if B[i] > now then change(i, p, l) end
    A[i], B[i] = a, now
    if p[3] > l[1] then return huge end
    local excess = a + p[3] * y - l[1] * y
    if excess <= 0 then return 0 end
    return (tick + ceil(excess / x)) * z - now
  end,
  function(i, p, l)
    local a, b, x, y = A[i], B[i], l[2], l[3]
    if b > now then
      b = now
      change(i, p, l)
    end
    local steps = floor((now - b) / y)
    if steps > 0 then
      a = a - steps * x
      if a < 0 then a = 0 end
      b = b + steps * y
    end
    if a == 0 then b = now end
    A[i], B[i] = a, b
    if p[3] > l[1] then return huge end
    local excess = a + p[3] - l[1]
    if excess <= 0 then return 0 end
    return b + ceil(excess / x) * y - now
  end,
  function(i, p, l)
    local windows, cap = p[5], l[1]
    if B[i] < windows[4] then
      local from = index(windows, B[i])
      A[i] = from and max(0, A[i] - (4 - from) * cap) or 0
    end
    if B[i] > windows[4] then change(i, p, l) end
    B[i] = windows[4]
    A[i] = min(A[i], QUOTA_DEBT * cap)
    if p[3] > cap then return huge end
    local excess = A[i] + p[3] - cap
    if excess <= 0 then return 0 end
    return boundary(windows, B[i], ceil(excess / cap)) - now
  end,
  function(i, p, l)
    local x = l[2]
    local start = floor(now / x) * x
    if A[i] < start then
      C[i] = A[i] == start - x and B[i] or 0
      B[i] = 0
    end
    if A[i] > start then change(i, p, l) end
    A[i] = start
    if p[3] > l[1] then return huge end
    return C[i] * (x - (now - start)) / x + B[i] + p[3] <= l[1] and 0 or x
  end,
  function(i, p, l)
    local key, x = KEYS[i], l[2]
    if B[i] > now then
      local ahead, all = B[i] - now, call('LRANGE', key, 1, -1)
      for at = 1, #all do
        local time, cost = unpackd('<dd', all[at])
        call('LSET', key, at, pack('<dd', time - ahead, cost))
      end
      B[i] = now
      change(i, p, l)
    end
    local expired, before = 0, nil
    repeat
      before = expired
      local chunk = call('LRANGE', key, expired + 1, expired + 16)
      for at = 1, #chunk do
        local time, cost = unpackd('<dd', chunk[at])
        if time > now - x then break end
        A[i] = A[i] - cost
        expired = expired + 1
      end
    until expired < before + 16
    if expired > 0 then
      call('LTRIM', key, expired, -1)
      call('LSET', key, 0, header(i))
    end
    if p[3] > l[1] then return huge end
    local excess = A[i] + p[3] - l[1]
    if excess <= 0 then return 0 end
    local from = 1
    while true do
      local chunk = call('LRANGE', key, from, from + 63)
      for at = 1, #chunk do
        local time, held = unpackd('<dd', chunk[at])
        excess = excess - held
        if excess <= 0 then return time + x - now end
      end
      from = from + 64
    end
  end,
}

local function add(i, p, l)
  A[i] = min(A[i] + p[3], max(A[i], DEBT * l[1]))
end

local charge = {
  function(i, p, l)
    local a, y = A[i], l[3]
    A[i] = min(a + p[3] * y, max(a, DEBT * l[1] * y))
  end,
  add,
  function(i, p, l)
    A[i] = min(A[i] + p[3], QUOTA_DEBT * l[1])
  end,
  function(i, p, l)
    B[i] = min(B[i] + p[3], max(B[i], DEBT * l[1]))
  end,
  function(i, p, l)
    local cost = min(p[3], max(0, DEBT * l[1] - A[i]))
    if cost > 0 then
      if not raw[i] then call('RPUSH', KEYS[i], '') end
      raw[i] = true
      call('RPUSH', KEYS[i], pack('<dd', now, cost))
      A[i], B[i] = A[i] + cost, now
    end
  end,
}

local function take(i, p)
  local mark = p[6]
  if mark ~= 0 and mark[1] < B[i] then return end
  A[i] = max(0, A[i] - p[3])
end

local refund = {
  function(i, p, l)
    local mark, y = p[6], l[3]
    local back = p[3] * y
    if mark ~= 0 then
      local drained = max(0, floor(now / l[4]) - floor(mark[1] / l[4])) * l[2]
      local level = mark[2]
      if mark[3] > 0 and mark[3] ~= y then level = floor(level * y / mark[3]) end
      back = min(back, max(0, min(mark[4] * y, level - drained)))
    end
    A[i] = max(0, A[i] - back)
  end,
  take,
  take,
  function(i, p, l)
    local mark, cost = p[6], p[3]
    if mark ~= 0 and mark[1] < A[i] then
      if mark[1] >= A[i] - l[2] then C[i] = max(0, C[i] - cost) end
      return
    end
    local previous = mark ~= 0 and 0 or max(0, cost - B[i])
    B[i] = max(0, B[i] - cost)
    C[i] = max(0, C[i] - previous)
  end,
  function(i, p)
    local key, cost, mark = KEYS[i], p[3], p[6]
    if mark ~= 0 then
      local back, entry = min(cost, mark[4]), pack('<dd', mark[1], mark[4])
      if back < mark[4] then
        if call('LINSERT', key, 'BEFORE', entry, pack('<dd', mark[1], mark[4] - back)) <= 0 then return end
      end
      if call('LREM', key, 1, entry) > 0 then A[i] = A[i] - back end
      return
    end
    while cost > 0 and A[i] > 0 do
      local time, held = unpackd('<dd', call('RPOP', key))
      local back = min(cost, held)
      if back < held then call('RPUSH', key, pack('<dd', time, held - back)) end
      A[i], cost = A[i] - back, cost - back
    end
  end,
}

-- By algorithm: how long until nothing is in use.
local full = {
  function(i, p, l)
    return A[i] == 0 and 0 or (floor(now / l[4]) + ceil(A[i] / l[2])) * l[4] - now
  end,
  function(i, p, l)
    return A[i] == 0 and 0 or B[i] + ceil(A[i] / l[2]) * l[3] - now
  end,
  function(i, p, l)
    return A[i] == 0 and 0 or boundary(p[5], B[i], ceil(A[i] / l[1])) - now
  end,
  function(i, p, l)
    if B[i] > 0 then return A[i] + 2 * l[2] - now end
    return C[i] > 0 and A[i] + l[2] - now or 0
  end,
  function(i, p, l)
    return A[i] == 0 and 0 or B[i] + l[2] - now
  end,
}

local function apply(i, p, mode, argument)
  local code = p[1]
  if mode == 3 then
    charge[code](i, p, own[i] or p[4])
  elseif mode == 4 then
    refund[code](i, p, own[i] or p[4])
  elseif mode == 5 then
    blocked[i] = argument > 0 and now + argument or nil
  elseif mode == 6 then
    own[i] = p[6] ~= 0 and p[6] or nil
    ends[i] = now + argument
    arrive[code](i, p, own[i] or p[4])
  else
    if code == 5 then
      call('DEL', KEYS[i])
      raw[i] = false
    end
    A[i], B[i], C[i], D[i], blocked[i] = 0, 0, 0, 0, nil
  end
  change(i, p, own[i] or p[4])
end

local reply, size, base = { now }, 1, 0
local seen, at, waits = {}, {}, {}
for d = 1, #order do
  local shape = shapes[byte(order, d) - 47]
  local mode, argument, policies = shape[1], shape[2], shape[3]
  local count, longest, stopped, ordinary = #policies, 0, false, true
  for k = 1, count do
    local p, key = policies[k], KEYS[base + k]
    local i = seen[key]
    if not i then
      i = base + k
      seen[key] = i
      local value = raw[i]
      if p[1] == 5 then
        value = call('LINDEX', key, 0)
        raw[i] = value
      end
      if value then
        A[i], B[i], C[i], D[i] = unpackd('<dddd', value)
        if #value > 32 then
          local block, expiry, cap, x, y, z = unpackd('<dddddd', value, 33)
          if block > now then blocked[i] = block end
          if expiry > now then own[i], ends[i] = { cap, x, y, z }, expiry end
        end
      else
        A[i], B[i], C[i], D[i] = 0, 0, 0, 0
      end
    end
    local w = arrive[p[1]](i, p, own[i] or p[4])
    at[k], waits[k] = i, w
    if w > 0 then
      ordinary = false
      if w > longest and p[2] == 0 then longest = w end
    end
    if blocked[i] then
      ordinary = false
      stopped = stopped or p[2] == 0
    end
  end
  local granted = not stopped and longest <= (mode == 1 and argument or 0)
  if mode == 1 then
    if granted then
      for k = 1, count do
        local i, p = at[k], policies[k]
        if p[2] == 0 or waits[k] == 0 then
          local l = own[i] or p[4]
          charge[p[1]](i, p, l)
          change(i, p, l)
        end
      end
    end
  elseif mode > 2 then
    for k = 1, count do apply(at[k], policies[k], mode, argument) end
  end
  for k = 1, count do ordinary = ordinary and not own[at[k]] and not blocked[at[k]] end
  if not ordinary then
    size = size + 1
    reply[size] = granted and -2 - longest or -1
  end
  for k = 1, count do
    local i, p, w = at[k], policies[k], waits[k]
    local code = p[1]
    if not ordinary then
      size = size + 1
      reply[size] = (w == 0 and 1 or 0) + (blocked[i] and 2 or 0) + (own[i] and 4 or 0)
    end
    reply[size + 1] = A[i]
    size = size + 1
    if code > 1 then
      reply[size + 1] = B[i]
      size = size + 1
      if code == 4 then
        reply[size + 1] = C[i]
        size = size + 1
      end
    end
    if not ordinary then
      if code == 5 or (mode == 1 and argument > 0) then
        size = size + 1
        reply[size] = w == huge and -1 or w
      end
      if blocked[i] or own[i] then
        local l = own[i] or p[4]
        reply[size + 1], reply[size + 2], reply[size + 3] = blocked[i] or 0, l[1], l[2]
        reply[size + 4], reply[size + 5] = l[3], l[4]
        size = size + 5
      end
    end
  end
  base = base + count
end

for c = 1, #changed do
  local i = changed[c]
  local key, value, p = KEYS[i], raw[i], how[i]
  local life = full[p[1]](i, p, last[i])
  if blocked[i] then life = max(life, blocked[i] - now) end
  if own[i] then life = max(life, ends[i] - now) end
  if life <= 0 then
    if value then call('DEL', key) end
  else
    local lifetime
    if D[i] < now + life + SLACK then
      lifetime = ceil((life + min(life, AHEAD)) / 1000) + 1000
      D[i] = now + lifetime * 1000
    end
    local new = header(i)
    if p[1] == 5 then
      if value then call('LSET', key, 0, new) else call('RPUSH', key, new) end
      if lifetime then call('PEXPIRE', key, lifetime) end
    elseif lifetime or #value ~= #new then
      call('SET', key, new, 'PX', lifetime or ceil((D[i] - now) / 1000))
    else
      call('SETRANGE', key, 0, new)
    end
  end
end
return reply
`

export const decideScript: RedisScript = redisScript(LUA)
