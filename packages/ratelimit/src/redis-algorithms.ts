// Part of the decision script: the algorithms. They mirror the kernels, which say what the numbers mean.
//
// `k` is the place of a policy in the operation under way, `p` the policy as a shape describes it (kernel, shadow,
// cost, limit, windows, extra), `l` the limit that holds: capacity, x, y, z.
export const ALGORITHMS_LUA = `
local function index(windows, start)
  for i = 1, #windows do
    if windows[i] == start then return i end
  end
end

-- Ends of intervals until so much is back, when the first brings more if a larger size was charged before it.
local function stepsFor(amount, first, each)
  return 1 + ceil(max(0, amount - max(first, each)) / each)
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
    local a, b, c, x, y = A[k], B[k], C[k], l[2], l[3]
    if b > now then
      b = now
      dirty[k] = true
    end
    local steps = floor((now - b) / y)
    if steps > 0 then a, b, c = max(0, a - max(c, x) - (steps - 1) * x), b + steps * y, 0 end
    if a == 0 then b, c = now, 0 end
    A[k], B[k], C[k] = a, b, c
    if p[3] > l[1] then return huge end
    local excess = a + p[3] - l[1]
    if excess <= 0 then return 0 end
    return b + stepsFor(excess, c, x) * y - now
  end,
  function(k, p, l)
    local windows, cap = p[5], l[1]
    if B[k] < windows[4] then
      local from = index(windows, B[k])
      A[k] = from and max(0, A[k] - max(C[k], cap) - (3 - from) * cap) or 0
      C[k] = 0
    end
    if B[k] > windows[4] then dirty[k] = true end
    B[k] = windows[4]
    if A[k] == 0 then C[k] = 0 end
    A[k] = min(A[k], max(C[k], cap) + (QUOTA_DEBT - 1) * cap)
    if p[3] > cap then return huge end
    local excess = A[k] + p[3] - cap
    if excess <= 0 then return 0 end
    return boundary(windows, B[k], stepsFor(excess, C[k], cap)) - now
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

local charge = {
  function(k, p, l)
    local a, y = A[k], l[3]
    A[k] = min(a + p[3] * y, max(a, DEBT * l[1] * y))
  end,
  function(k, p, l)
    A[k] = min(A[k] + p[3], max(A[k], DEBT * l[1]))
    C[k] = max(C[k], l[2])
  end,
  function(k, p, l)
    local cap = l[1]
    C[k] = max(C[k], cap)
    A[k] = min(A[k] + p[3], C[k] + (QUOTA_DEBT - 1) * cap)
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
    return A[k] == 0 and 0 or B[k] + stepsFor(A[k], C[k], l[2]) * l[3] - now
  end,
  function(k, p, l)
    return A[k] == 0 and 0 or boundary(p[5], B[k], stepsFor(A[k], C[k], l[1])) - now
  end,
  function(k, p, l)
    if B[k] > 0 then return A[k] + 2 * l[2] - now end
    return C[k] > 0 and A[k] + l[2] - now or 0
  end,
  function(k, p, l)
    return A[k] == 0 and 0 or B[k] + l[2] - now
  end,
}
`
