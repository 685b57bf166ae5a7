import { type RedisScript, redisScript } from '@cays/core/redis-script'
import { ALGORITHMS_LUA } from './redis-algorithms.ts'

// Decides a batch of operations, one after the other, in one call. All state is read by one MGET; what an
// operation changes is written at its end, and kept for the next one on the same key.
//
// KEYS: the state keys, operation by operation, policy by policy. ARGV[1], JSON: the list of shapes (see
// operation.ts); the list of runs of operations that share a shape, as its number and how many they are; whether
// some key is mentioned twice.
//
// Reply: doubles in one string (a client decodes that many times faster than a list, and nothing is rounded).
// First the time in microseconds, alone when it is not in the middle one of some shape's calendar windows:
// nothing was done then. Then, operation by operation, one of two forms.
// - Ordinary, all policies fit and none is blocked or resized: per policy the numbers of its state.
// - Otherwise a status below 0 (-1 denied, -2 less the microseconds until the grant begins), and per policy
//   flags (1 fits, 2 blocked, 4 own limit), the numbers of its state, for a paced check and for logs the
//   policy's wait (-1 for ever), and with flag 2 or 4 the block's end and the own limit.
//
// A value is four doubles (a, b, c, and when the key expires, in microseconds), with a block or an own limit
// six more: block's end, limit's end, limit. Sliding logs are lists: such a value first, then one
// (time, cost) per charge. The expiry is set ahead of need, so that most writes leave it as it is.
const LUA = `
local call, KEYS = redis.call, KEYS
local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2]
local shapes, runs, repeats = unpack(cjson.decode(ARGV[1]))
local floor, ceil, min, max, huge = math.floor, math.ceil, math.min, math.max, math.huge
local pack, unpackd = struct.pack, struct.unpack
local DEBT, QUOTA_DEBT, SLACK, AHEAD, CHUNK, CENTURY = 10, 3, 500000, 60000000, 1000, 3155760000000

for s = 1, #shapes do
  local policies = shapes[s][3]
  for k = 1, #policies do
    local windows = policies[k][5]
    if #windows > 0 and (now < windows[4] or now >= windows[5]) then return pack('<d', now) end
  end
end

-- The values as they are, by the place of their key's first mention.
local raw = #runs > 0 and call('MGET', unpack(KEYS)) or {}
local seen, reply, size, base = {}, { now }, 1, 0

-- Decides anything. Built when the first operation needs it: most calls have none.
local function general()
  -- The operation under way, policy by policy: key and place, state, expiry, end of a block, own limit and its
  -- end, whether it has to be written.
  local keys, at, A, B, C, D, blocked, own, ends, dirty = {}, {}, {}, {}, {}, {}, {}, {}, {}, {}
  local waits = {}
${ALGORITHMS_LUA}
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
      lifetime = min(ceil((life + min(life, AHEAD)) / 1000) + 1000, CENTURY)
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

  local function push(value)
    size = size + 1
    reply[size] = value
  end

  return function(mode, argument, policies)
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
      if code > 1 and code < 5 then push(C[k]) end
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
end

-- What most calls are: one GCRA, token bucket or fixed window that admits, on a key without a block, a limit of its
-- own or a trace of another size. Whatever differs is decided above; the answers are the same.
local decide
for r = 1, #runs, 2 do
  local shape = shapes[runs[r]]
  local mode, argument, policies = shape[1], shape[2], shape[3]
  local count, p = #policies, policies[1]
  local code, cost, l = p[1], p[3], p[4]
  local room, x, y, z = l[1], l[2], l[3], l[4]
  if mode > 1 or count > 1 or cost == 0 then code = 0 end
  if code == 1 then cost, room = cost * y, room * y end
  for _ = 1, runs[r + 1] do
    local done
    if code == 1 or code == 2 then
      local i = base + 1
      local key = KEYS[i]
      if repeats then i = seen[key] or i end
      local value = raw[i]
      local scale = code == 1 and y or x
      local a, b, c, expiry, life = 0, now, scale, 0
      if value then a, b, c, expiry = unpackd('<dddd', value) end
      if b <= now and c == scale and (not value or #value == 32) then
        if code == 1 then
          local ticks = z == 1 and now - b or floor(now / z) - floor(b / z)
          a = a - ticks * x
          a = (a > 0 and a or 0) + cost
          b = now
          life = (a / x + 1) * z
        else
          local steps = floor((now - b) / y)
          if steps > 0 then a, b = max(0, a - steps * x), b + steps * y end
          if a == 0 then b = now end
          a = a + cost
          life = b + (a / x + 1) * y - now
        end
        done = a <= room
      end
      if done then
        local new
        if expiry < now + life + SLACK then
          local lifetime = min(ceil((life + min(life, AHEAD)) / 1000) + 1000, CENTURY)
          expiry = now + lifetime * 1000
          new = pack('<dddd', a, b, c, expiry)
          call('SET', key, new, 'PX', lifetime)
        else
          call('SETRANGE', key, '0', pack('<dd', a, b))
        end
        if repeats then seen[key], raw[i] = i, new or pack('<dddd', a, b, c, expiry) end
        size = size + 1
        reply[size] = a
        if code == 2 then
          reply[size + 1], reply[size + 2] = b, c
          size = size + 2
        end
      end
    end
    if not done then
      decide = decide or general()
      decide(mode, argument, policies)
    end
    base = base + count
  end
end

local packed = {}
for from = 1, size, CHUNK do
  local to = min(size, from + CHUNK - 1)
  packed[#packed + 1] = pack('<' .. string.rep('d', to - from + 1), unpack(reply, from, to))
end
return table.concat(packed)
`

export const decideScript: RedisScript = redisScript(LUA)
