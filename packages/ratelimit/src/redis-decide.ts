import { type RedisScript, redisScript } from '@cays/core/redis-script'

// Decides a batch of operations, one after the other, in one call. All state is read by one MGET, kept in
// tables while the batch runs, and what changed is written once at the end.
//
// KEYS: the state keys, operation by operation, policy by policy. ARGV[1]: JSON list of shapes (see
// operation.ts). ARGV[2]: one character per operation, '0' + the index of its shape.
//
// Reply: the time in microseconds, alone when it is not in the middle one of some shape's calendar windows:
// nothing was done then. Else per operation a status (microseconds until the grant begins, -1 denied) and per policy: flags (1 fits,
// 2 blocked, 4 own limit), the state's numbers, for a paced check the policy's wait (-1 for ever), and with
// flag 2 or 4 the block's end and the own limit.
//
// A value is three doubles (a, b, c), with a block or an own limit six more: block's end, limit's end, limit.
// Sliding logs are lists: such a value first, then one (time, cost) per charge.
const LUA = `
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local shapes = cjson.decode(ARGV[1])
local order = ARGV[2]
local floor, ceil, min, max, huge = math.floor, math.ceil, math.min, math.max, math.huge
local pack, unpackd, byte, call = struct.pack, struct.unpack, string.byte, redis.call
local DEBT, QUOTA_DEBT, MARGIN = 10, 3, 1000
local raw = #order > 0 and redis.call('MGET', unpack(KEYS)) or {}
local entries, touched, reply, size = {}, {}, { now }, 1

local function push(value)
  size = size + 1
  reply[size] = value
end

local function load(i, code)
  local key = KEYS[i]
  local e = entries[key]
  if e then return e end
  e = { key = key, code = code, a = 0, b = 0, c = 0, blocked = 0, ends = 0, touched = false }
  entries[key] = e
  local value = raw[i]
  if code == 5 then
    value = call('LINDEX', key, 0)
    e.stored = value
  end
  if not value then return e end
  e.a, e.b, e.c = unpackd('<ddd', value)
  if #value > 24 then
    local blocked, ends, cap, x, y, z = unpackd('<dddddd', value, 25)
    e.blocked = blocked
    if ends > now then e.ends, e.limit = ends, { cap, x, y, z } end
  end
  return e
end

local function touch(e, policy, limit)
  if not e.touched then
    e.touched = true
    touched[#touched + 1] = e
  end
  e.last, e.policy = limit, policy
end

local function header(e)
  local value = pack('<ddd', e.a, e.b, e.c)
  if e.limit then
    local l = e.limit
    return value .. pack('<dddddd', e.blocked, e.ends, l[1], l[2], l[3], l[4])
  end
  if e.blocked > now then return value .. pack('<dddddd', e.blocked, 0, 0, 0, 0, 0) end
  return value
end

local function index(windows, start)
  for i = 1, #windows do
    if windows[i] == start then return i end
  end
end

local function boundary(windows, start, steps)
  return windows[min(index(windows, start) + steps, #windows)]
end

local function estimate(e, x)
  return e.c * (x - (now - e.a)) / x
end

-- A state from the future (the clock was set back) is moved to now and kept so, even by a denial.
local function refresh(e, policy, l)
  local code = e.code
  if code == 1 then
    if e.c ~= l[3] then
      if e.c > 0 then e.a = ceil(e.a * l[3] / e.c) end
      e.c = l[3]
    end
    local ticks = floor(now / l[4]) - floor(e.b / l[4])
    if ticks > 0 then e.a = max(0, e.a - ticks * l[2]) end
    if e.b > now then touch(e, policy, l) end
    e.b = now
  elseif code == 2 then
    if e.b > now then
      e.b = now
      touch(e, policy, l)
    end
    local steps = floor((now - e.b) / l[3])
    if steps > 0 then
      e.a = max(0, e.a - steps * l[2])
      e.b = e.b + steps * l[3]
    end
    if e.a == 0 then e.b = now end
  elseif code == 3 then
    local windows = policy[5]
    if e.b < windows[4] then
      local from = index(windows, e.b)
      e.a = from and max(0, e.a - (4 - from) * l[1]) or 0
    end
    if e.b > windows[4] then touch(e, policy, l) end
    e.b = windows[4]
    e.a = min(e.a, QUOTA_DEBT * l[1])
  elseif code == 4 then
    local start = floor(now / l[2]) * l[2]
    if e.a < start then
      e.c = e.a == start - l[2] and e.b or 0
      e.b = 0
    end
    if e.a > start then touch(e, policy, l) end
    e.a = start
  else
    if e.b > now then
      local ahead, all = e.b - now, call('LRANGE', e.key, 1, -1)
      for i = 1, #all do
        local at, cost = unpackd('<dd', all[i])
        call('LSET', e.key, i, pack('<dd', at - ahead, cost))
      end
      e.b = now
      touch(e, policy, l)
    end
    local expired, last = 0, nil
    repeat
      last = expired
      local chunk = call('LRANGE', e.key, expired + 1, expired + 16)
      for i = 1, #chunk do
        local at, cost = unpackd('<dd', chunk[i])
        if at > now - l[2] then break end
        e.a = e.a - cost
        expired = expired + 1
      end
    until expired < last + 16
    if expired > 0 then
      call('LTRIM', e.key, expired, -1)
      call('LSET', e.key, 0, header(e))
    end
  end
end

local function wait(e, policy, l, cost)
  local code, cap = e.code, l[1]
  if cost > cap then return huge end
  if code == 1 then
    local excess = e.a + cost * l[3] - cap * l[3]
    return excess <= 0 and 0 or (floor(now / l[4]) + ceil(excess / l[2])) * l[4] - now
  elseif code == 4 then
    return estimate(e, l[2]) + e.b + cost <= cap and 0 or l[2]
  end
  local excess = e.a + cost - cap
  if excess <= 0 then return 0 end
  if code == 2 then return e.b + ceil(excess / l[2]) * l[3] - now end
  if code == 3 then return boundary(policy[5], e.b, ceil(excess / cap)) - now end
  local from = 1
  while true do
    local chunk = call('LRANGE', e.key, from, from + 63)
    for i = 1, #chunk do
      local at, held = unpackd('<dd', chunk[i])
      excess = excess - held
      if excess <= 0 then return at + l[2] - now end
    end
    if #chunk < 64 then return l[2] end
    from = from + 64
  end
end

local function charge(e, policy, l)
  local code, cap, cost = e.code, l[1], policy[3]
  if code == 1 then
    e.a = min(e.a + cost * l[3], max(e.a, DEBT * cap * l[3]))
  elseif code == 4 then
    e.b = min(e.b + cost, max(e.b, DEBT * cap))
  elseif code == 5 then
    cost = min(cost, max(0, DEBT * cap - e.a))
    if cost > 0 then
      if not e.stored then call('RPUSH', e.key, '') end
      e.stored = true
      call('RPUSH', e.key, pack('<dd', now, cost))
      e.a, e.b = e.a + cost, now
    end
  elseif code == 3 then
    e.a = min(e.a + cost, QUOTA_DEBT * cap)
  else
    e.a = min(e.a + cost, max(e.a, DEBT * cap))
  end
end

local function refund(e, policy, l)
  local code, cost, mark = e.code, policy[3], policy[6]
  if mark == 0 then mark = nil end
  if code == 1 then
    local back = cost * l[3]
    if mark then
      local drained = max(0, floor(now / l[4]) - floor(mark[1] / l[4])) * l[2]
      local level = mark[2]
      if mark[3] > 0 and mark[3] ~= l[3] then level = floor(level * l[3] / mark[3]) end
      back = min(back, max(0, min(mark[4] * l[3], level - drained)))
    end
    e.a = max(0, e.a - back)
  elseif code == 4 then
    if mark and mark[1] < e.a then
      if mark[1] >= e.a - l[2] then e.c = max(0, e.c - cost) end
      return
    end
    local previous = mark and 0 or max(0, cost - e.b)
    e.b = max(0, e.b - cost)
    e.c = max(0, e.c - previous)
  elseif code == 5 then
    if mark then
      local back, entry = min(cost, mark[4]), pack('<dd', mark[1], mark[4])
      if back < mark[4] then
        if call('LINSERT', e.key, 'BEFORE', entry, pack('<dd', mark[1], mark[4] - back)) <= 0 then
          return
        end
      end
      if call('LREM', e.key, 1, entry) > 0 then e.a = e.a - back end
      return
    end
    while cost > 0 and e.a > 0 do
      local at, held = unpackd('<dd', call('RPOP', e.key))
      local back = min(cost, held)
      if back < held then call('RPUSH', e.key, pack('<dd', at, held - back)) end
      e.a, cost = e.a - back, cost - back
    end
  else
    if not (mark and mark[1] < e.b) then e.a = max(0, e.a - cost) end
  end
end

local function time_to_full(e)
  local code, l = e.code, e.last
  if code == 4 then
    if e.b > 0 then return e.a + 2 * l[2] - now end
    return e.c > 0 and e.a + l[2] - now or 0
  end
  if e.a == 0 then return 0 end
  if code == 1 then return (floor(now / l[4]) + ceil(e.a / l[2])) * l[4] - now end
  if code == 2 then return e.b + ceil(e.a / l[2]) * l[3] - now end
  if code == 3 then return boundary(e.policy[5], e.b, ceil(e.a / l[1])) - now end
  return e.b + l[2] - now
end

local function apply(e, policy, l, mode, argument, granted, fits)
  if mode == 1 then
    if not granted or (policy[2] == 1 and not fits) then return end
    charge(e, policy, l)
  elseif mode == 3 then
    charge(e, policy, l)
  elseif mode == 4 then
    refund(e, policy, l)
  elseif mode == 5 then
    e.blocked = argument > 0 and now + argument or 0
  elseif mode == 6 then
    e.limit = policy[6] ~= 0 and policy[6] or nil
    e.ends = now + argument
    refresh(e, policy, e.limit or policy[4])
  elseif mode == 7 then
    if e.code == 5 then call('DEL', e.key) end
    e.a, e.b, e.c, e.blocked, e.stored = 0, 0, 0, 0, nil
  else
    return
  end
  touch(e, policy, e.limit or policy[4])
end

local function answer(e, policy, wait, paced)
  local own = e.limit or e.blocked > now
  push((wait == 0 and 1 or 0) + (e.blocked > now and 2 or 0) + (e.limit and 4 or 0))
  if e.code == 1 then
    push(e.a)
  elseif e.code == 4 then
    push(e.a)
    push(e.b)
    push(e.c)
  else
    push(e.a)
    push(e.b)
    if e.code == 5 then push(wait == huge and -1 or wait) end
  end
  if paced and e.code ~= 5 then push(wait == huge and -1 or wait) end
  if own then
    push(e.blocked)
    local l = e.limit or policy[4]
    for i = 1, 4 do push(l[i]) end
  end
end

for s = 1, #shapes do
  local policies = shapes[s][3]
  for k = 1, #policies do
    local windows = policies[k][5]
    if #windows > 0 and (now < windows[4] or now >= windows[5]) then return { now } end
  end
end

local base, set, waits = 0, {}, {}
for d = 1, #order do
  local shape = shapes[byte(order, d) - 47]
  local mode, argument, policies = shape[1], shape[2], shape[3]
  local longest, blocked = 0, false
  for k = 1, #policies do
    local policy = policies[k]
    local e = load(base + k, policy[1])
    local l = e.limit or policy[4]
    refresh(e, policy, l)
    local w = wait(e, policy, l, policy[3])
    set[k], waits[k] = e, w
    if policy[2] == 0 then
      longest = max(longest, w)
      blocked = blocked or e.blocked > now
    end
  end
  local granted = not blocked and longest <= (mode == 1 and argument or 0)
  push(granted and longest or -1)
  for k = 1, #policies do
    local e, policy = set[k], policies[k]
    apply(e, policy, e.limit or policy[4], mode, argument, granted, waits[k] == 0)
    answer(e, policy, waits[k], mode == 1 and argument > 0)
  end
  base = base + #policies
end

for i = 1, #touched do
  local e = touched[i]
  local life = max(time_to_full(e), e.blocked - now, e.limit and e.ends - now or 0)
  if life <= 0 then
    call('DEL', e.key)
  elseif e.code == 5 then
    if e.stored then call('LSET', e.key, 0, header(e)) else call('RPUSH', e.key, header(e)) end
    call('PEXPIRE', e.key, ceil(life / 1000) + MARGIN)
  else
    call('SET', e.key, header(e), 'PX', ceil(life / 1000) + MARGIN)
  end
end
return reply
`

export const decideScript: RedisScript = redisScript(LUA)
