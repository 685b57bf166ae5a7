import { type RedisScript, redisScript } from '@cays/core/redis-script'

// Layout, in one Redis or Cluster:
//   <prefix>:{<namespace>:<key>}     value: '1', soft expiry (13 digits, ms), run id (10), '<epoch>|<seq>|…'
//   <prefix>:{<namespace>:<key>}:l   lease: run id (10), '-' and the holder's token, '+' in place of '-' when somebody
//                                    waits for its end; or '!' and a failure
//   <prefix>:{<namespace>}           hash: e = epoch, r = run id, s = sequence of the last invalidation
//   <prefix>:{<namespace>}:f         stream: the last invalidations, id = sequence
//   <prefix>:{<namespace>}:t:<tag>   '<epoch>|<sequence of the tag's last invalidation>'
//
// The run id of the server is part of every value and lease: after a restart or a failover, which may have
// lost acknowledged deletes, nothing that was written before counts. A server that forbids INFO to this user
// answers '-', and that protection is off. To ask costs as much as all the rest of a script: once is enough.
const RUN = `
local UNKNOWN = '----------'
local asked
local function runId()
  if asked then return asked end
  local info = redis.pcall('INFO', 'server')
  local id = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or nil
  asked = string.sub((id or UNKNOWN) .. UNKNOWN, 1, 10)
  return asked
end
local function clock()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
`

/**
 * Reads a value, or takes the lease to load it. KEYS value, lease. ARGV epoch, token ('' takes no lease),
 * lease ms, lowest acceptable seq, ms of freshness below which the lease is given though the value is fresh. Returns [state, now ms, value or '', detail]: `fresh`, `leased` (load it),
 * `held` (another process loads it), `failed` (in back-off; detail = message, ms left), `missing` (no lease
 * asked). A value that comes with a state other than `fresh` is past its time, and servable as stale.
 */
export const READ: RedisScript = redisScript(`${RUN}
local run, now = runId(), clock()
local value = redis.call('GET', KEYS[1])
local fresh = false
if value then
  local epoch, seq = string.match(value, '^([^|]*)|(%d+)|', 25)
  if epoch ~= ARGV[1] or string.sub(value, 15, 24) ~= run or tonumber(seq) < tonumber(ARGV[4]) then
    value = false
  else
    local left = (tonumber(string.sub(value, 2, 14)) or 0) - now
    fresh = left > 0
    if left > tonumber(ARGV[5]) then return {'fresh', now, value} end
  end
end
value = value or ''
if ARGV[2] == '' then return {'missing', now, value} end
local lease = redis.call('GET', KEYS[2])
if lease and string.sub(lease, 1, 10) == run then
  if fresh then return {'fresh', now, value} end
  local mark = string.sub(lease, 11, 11)
  if mark == '!' then
    return {'failed', now, value, string.sub(lease, 12), redis.call('PTTL', KEYS[2])}
  end
  if string.sub(lease, 12) ~= ARGV[2] then
    if mark == '-' then redis.pcall('SETRANGE', KEYS[2], 10, '+') end
    return {'held', now, value}
  end
end
redis.call('SET', KEYS[2], run .. '-' .. ARGV[2], 'PX', ARGV[3])
return {'leased', now, value}
`)

/** Reads a value, no lease. KEYS value. ARGV epoch. Returns [now ms, value or '']. */
export const READ_ONE: RedisScript = redisScript(`${RUN}
local value = redis.call('GET', KEYS[1])
if value and (string.match(value, '^([^|]*)|', 25) ~= ARGV[1] or string.sub(value, 15, 24) ~= runId()) then
  value = false
end
return {clock(), value or ''}
`)

/** Which run of a server has answered the plain reads before it, and when. No keys. Returns [now ms, run id]. */
export const NODE: RedisScript = redisScript(`${RUN}
return {clock(), runId()}
`)

/** What messages begin with that tell of the end of a load; a key follows. Those of changes begin with an epoch. */
export const LOAD_ENDED = '!'

// A lease that is still its holder's: its mark, else nil. And the news for those who wait for its end.
const LEASE = `
local function markOf(key, token)
  local lease = redis.call('GET', key)
  if not lease or string.sub(lease, 1, 10) ~= runId() or string.sub(lease, 12) ~= token then return nil end
  local mark = string.sub(lease, 11, 11)
  if mark == '!' then return nil end
  return mark
end
local function tell(mark, channel, key)
  if mark == '+' then redis.pcall('PUBLISH', channel, '${LOAD_ENDED}' .. key) end
end
`

/**
 * Stores a loaded value if the lease is still this holder's. KEYS value, lease. ARGV token, soft ttl ms, whole
 * ttl ms, body, channel, key. Returns 1, or 0 when the lease was voided, expired or belongs to another.
 */
export const FILL: RedisScript = redisScript(`${RUN}${LEASE}
local mark = markOf(KEYS[2], ARGV[1])
if not mark then return 0 end
local header = '1' .. string.format('%013.0f', clock() + ARGV[2]) .. runId()
redis.call('SET', KEYS[1], header .. ARGV[4], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
tell(mark, ARGV[5], ARGV[6])
return 1
`)

/** KEYS lease. ARGV token, lease ms. Returns 1 while the lease is still this holder's. */
export const RENEW: RedisScript = redisScript(`${RUN}${LEASE}
if not markOf(KEYS[1], ARGV[1]) then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`)

/** Gives a lease back. KEYS lease. ARGV token, back-off ms (0: none), failure message, channel, key. */
export const RELEASE: RedisScript = redisScript(`${RUN}${LEASE}
local mark = markOf(KEYS[1], ARGV[1])
if not mark then return 0 end
if tonumber(ARGV[2]) > 0 then
  redis.call('SET', KEYS[1], runId() .. '!' .. ARGV[3], 'PX', ARGV[2])
else
  redis.call('DEL', KEYS[1])
end
tell(mark, ARGV[4], ARGV[5])
return 1
`)

// What a write does to its keys, pairs of value and lease. ARGV[1] = drop | expire | put; for put then soft ttl
// ms, whole ttl ms, body. Every one of them voids the leases, so that no load begun before can store its result.
const TOUCH = `
local function touch(from)
  local run, now = runId(), clock()
  for i = from, #KEYS, 2 do
    if ARGV[1] == 'drop' then
      redis.call('DEL', KEYS[i], KEYS[i + 1])
    else
      if ARGV[1] == 'put' then
        local header = '1' .. string.format('%013.0f', now + ARGV[2]) .. run
        redis.call('SET', KEYS[i], header .. ARGV[4], 'PX', ARGV[3])
      elseif redis.call('EXISTS', KEYS[i]) == 1 then
        redis.call('SETRANGE', KEYS[i], 1, string.format('%013.0f', now))
      end
      redis.call('DEL', KEYS[i + 1])
    end
  end
end
`

/** One key's part of a write on a Cluster, where its slot is not the namespace's. KEYS value, lease. PERSIST: as in WRITE. */
export const WRITE_KEY: RedisScript = redisScript(`${RUN}${TOUCH}
redis.call('PERSIST', KEYS[2])
touch(1)
return 1
`)

// The namespace's epoch. It changes when the hash is gone (evicted, flushed, restarted empty) or the server is
// another run: whoever notices first starts a new epoch, and everything of the old one is void. Who is not told which
// run it is cannot notice. PERSIST: as in WRITE.
const EPOCH = `
local function begin(run, salt)
  local t = redis.call('TIME')
  local epoch = t[1] .. '.' .. t[2] .. '.' .. salt
  redis.call('PERSIST', KEYS[1])
  redis.call('HSET', KEYS[1], 'e', epoch, 'r', run, 's', 0)
  redis.call('DEL', KEYS[2])
  return epoch
end
local function current(salt)
  local run = runId()
  local h = redis.call('HMGET', KEYS[1], 'e', 'r', 's')
  if not h[1] or (h[2] ~= run and run ~= UNKNOWN) then return begin(run, salt), 0 end
  return h[1], tonumber(h[3])
end
`

/**
 * Applies a write and announces it: one atomic step where all keys live together. KEYS namespace, feed, then
 * ARGV[9] tag markers, then pairs of value and lease. ARGV 1-4 as above, 5 channel, 6 message, 7 salt, 8 log
 * length, 9 number of tags, 10 marker ttl ms, 11 '1' to begin a new epoch (clear). Returns [epoch, seq].
 *
 * PERSIST changes nothing, but it is a write that a full server allows, and after one the server lets the rest of
 * a script through: what is wrong must go even when there is no room to say so.
 */
export const WRITE: RedisScript = redisScript(`${RUN}${TOUCH}${EPOCH}
redis.call('PERSIST', KEYS[1])
local tags = tonumber(ARGV[9])
touch(3 + tags)
local epoch
if ARGV[11] == '1' then epoch = begin(runId(), ARGV[7]) else epoch = current(ARGV[7]) end
local seq = redis.call('HINCRBY', KEYS[1], 's', 1)
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[8], seq .. '-0', 'm', ARGV[6])
for i = 3, 2 + tags do redis.call('SET', KEYS[i], epoch .. '|' .. seq, 'PX', ARGV[10]) end
redis.pcall('PUBLISH', ARGV[5], epoch .. '|' .. seq .. '|' .. ARGV[6])
return {epoch, seq}
`)

/**
 * Where the feed stands. KEYS namespace, feed. ARGV epoch and seq as known, salt, most messages to return. Returns
 * [epoch, seq, 1 when all messages after the known seq follow, 1 when the server says which run it is, messages …].
 */
export const SYNC: RedisScript = redisScript(`${RUN}${EPOCH}
local epoch, seq = current(ARGV[3])
local said = runId() == UNKNOWN and 0 or 1
local missing = seq - tonumber(ARGV[2])
if epoch ~= ARGV[1] or missing < 0 or missing > tonumber(ARGV[4]) then return {epoch, seq, 0, said} end
if missing == 0 then return {epoch, seq, 1, said} end
local entries = redis.call('XRANGE', KEYS[2], (tonumber(ARGV[2]) + 1) .. '-0', '+')
if #entries ~= missing then return {epoch, seq, 0, said} end
local out = {epoch, seq, 1, said}
for i, entry in ipairs(entries) do out[i + 4] = entry[2][2] end
return out
`)

/**
 * Sequences of the last invalidation of tags. KEYS namespace, feed, tag markers. ARGV salt, marker ttl ms. A
 * marker that is missing or of another epoch is created at the present sequence: what was lost invalidates.
 * Returns [epoch, seq of each tag …].
 */
export const MARKERS: RedisScript = redisScript(`${RUN}${EPOCH}
local epoch, seq = current(ARGV[1])
local out = {epoch}
for i = 3, #KEYS do
  local marker = redis.call('GET', KEYS[i])
  local of, at = string.match(marker or '', '^([^|]*)|(%d+)$')
  if of ~= epoch then
    at = seq
    redis.call('SET', KEYS[i], epoch .. '|' .. seq, 'PX', ARGV[2])
  end
  out[i - 1] = tonumber(at)
end
return out
`)
