import { type RedisScript, redisScript } from '@cays/core/redis-script'

// Meta hash of a room: e = epoch, o = offset of the newest message, r = run id of the server that took the
// last append, p = earlier epochs with the offset they end at, newest last, as "epoch:top,epoch:top".

/**
 * Appends a batch to a room: dedupe, epoch, offset, history and publish in one step.
 *
 * Invariants:
 * 1. An offset is used once per epoch. A server that restarted or took over may have lost acknowledged
 *    appends; its run id differs from the one in the meta, so it opens a new epoch before it numbers on.
 * 2. The text of the script holds the run id it was made for. A server forgets its scripts when it
 *    restarts, so a command that a client library sends again to another server, or to the same one after a
 *    restart, finds no script and does nothing. `ARGV[1] == '1'` makes the first run of a text prove that
 *    the id is this server's own.
 * 3. Epochs share the numbering: the new one begins after the old one's surviving top, and remembers it.
 *
 * KEYS: meta, stream, one key per message for its idempotency key.
 * ARGV: verify, channel, publish command, size, ttl, epoch to open if need be, then per message text, window.
 * Returns the epoch and each message's offset, or "epoch:offset" for a repeated key.
 */
export function appendScript(runId: string): RedisScript {
  return redisScript(`${opening(runId)}
for i = 7, #ARGV, 2 do
  local key = KEYS[(i - 1) / 2]
  if redis.call('SET', key, epoch .. ':' .. (top + 1), 'PX', ARGV[i + 1], 'NX') then
    store(ARGV[i])
    reply[#reply + 1] = top
  else
    reply[#reply + 1] = redis.call('GET', key)
  end
end
${CLOSING}`)
}

// What every script that writes into a room begins with: the proof, the epoch, and `store(text)`.
// KEYS[1..2]: meta, stream. ARGV[1..6] as documented at appendScript.
function opening(runId: string): string {
  return `local run = '${runId}'
if ARGV[1] == '1' and run ~= '' and not string.find(redis.call('INFO', 'server'), 'run_id:' .. run, 1, true) then
  return redis.error_reply('RUNID mismatch')
end
local meta, stream, size, ttl = KEYS[1], KEYS[2], ARGV[4], tonumber(ARGV[5])
local m = redis.call('HMGET', meta, 'e', 'o', 'r', 'p')
local epoch, top = m[1], tonumber(m[2])
if not epoch then
  redis.call('DEL', stream)
  epoch, top = ARGV[6], 0
  redis.call('HSET', meta, 'e', epoch, 'r', run)
elseif run ~= '' and m[3] ~= run then
  local ends = {}
  for one in string.gmatch(m[4] or '', '[^,]+') do ends[#ends + 1] = one end
  ends[#ends + 1] = epoch .. ':' .. top
  while #ends > 8 do table.remove(ends, 1) end
  epoch = ARGV[6]
  redis.call('HSET', meta, 'e', epoch, 'r', run, 'p', table.concat(ends, ','))
end
local first, texts, reply = top + 1, {}, { epoch }
local function store(text)
  top = top + 1
  redis.call('XADD', stream, 'MAXLEN', size, top .. '-0', 'd', text)
  texts[#texts + 1] = text
end`
}

// Ends such a script: the position, the lives of the keys, and the news to all nodes.
const CLOSING = `redis.call('HSET', meta, 'o', top)
redis.call('PEXPIRE', stream, ttl)
redis.call('PEXPIRE', meta, math.max(86400000, 2 * ttl))
if #texts > 0 then
  redis.call(ARGV[3], ARGV[2], epoch .. ' ' .. first .. '\\n' .. table.concat(texts, '\\n'))
end
return reply`

/**
 * Changes who is in a room, and tells it as messages of the presence room: `join`, `update`, `leave`.
 *
 * Invariants:
 * 1. Members are users: the hash holds for each the nodes they are on and their data, as "node,node\ndata".
 *    `join` is stored when the first node is added and `leave` when the last one is removed, never else.
 * 2. Every change may be repeated: what is so already changes nothing and tells nothing.
 * 3. The set of a node names all rooms it has members in, so that any node can clean up after it.
 *
 * KEYS: meta, stream, members, rooms of the node. ARGV: as above up to epoch, then node, room, '1' when the node
 * has nobody left there, then per change kind, user and data (both JSON). Kinds: e enter or update; a assert
 * anew, which leaves the data of a present member alone; l leave; x all of the node's members leave.
 */
export function presenceScript(runId: string): RedisScript {
  return redisScript(`${opening(runId)}
local members, list, node = KEYS[3], KEYS[4], ARGV[7]
local function leave(user, value)
  local at = string.find(value, '\\n', 1, true)
  local others, found = {}, false
  for one in string.gmatch(string.sub(value, 1, at - 1), '[^,]+') do
    if one == node then found = true else others[#others + 1] = one end
  end
  if not found then return end
  if #others > 0 then
    redis.call('HSET', members, user, table.concat(others, ',') .. string.sub(value, at))
  else
    redis.call('HDEL', members, user)
    store('"leave",{"user":' .. user .. '}')
  end
end
local function enter(user, data, value)
  local event = '{"user":' .. user .. ',"data":' .. data .. '}'
  if not value then
    redis.call('HSET', members, user, node .. '\\n' .. data)
    return store('"join",' .. event)
  end
  local at = string.find(value, '\\n', 1, true)
  local nodes = string.sub(value, 1, at - 1)
  local changed = data ~= string.sub(value, at + 1)
  if not string.find(',' .. nodes .. ',', ',' .. node .. ',', 1, true) then
    nodes = nodes .. ',' .. node
  elseif not changed then
    return
  end
  redis.call('HSET', members, user, nodes .. '\\n' .. data)
  if changed then store('"update",' .. event) end
end
for i = 10, #ARGV, 3 do
  local kind, user = ARGV[i], ARGV[i + 1]
  if kind == 'x' then
    local all = redis.call('HGETALL', members)
    for j = 1, #all, 2 do leave(all[j], all[j + 1]) end
  else
    local value = redis.call('HGET', members, user)
    if kind == 'l' then
      if value then leave(user, value) end
    else
      redis.call('SADD', list, ARGV[8])
      local kept = kind == 'a' and value
      enter(user, kept and string.sub(value, string.find(value, '\\n', 1, true) + 1) or ARGV[i + 2], value)
    end
  end
end
if ARGV[9] == '1' then redis.call('SREM', list, ARGV[8]) end
${CLOSING}`)
}

/**
 * Reads who is in a room, with the position of the presence room at that moment.
 *
 * KEYS: meta, stream, members. ARGV: epoch to open, run id. Returns epoch, top, then user and value in turn.
 */
export const ROSTER_SCRIPT: RedisScript = redisScript(`local m = redis.call('HMGET', KEYS[1], 'e', 'o')
if not m[1] then
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'e', ARGV[1], 'o', 0, 'r', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], 86400000)
  m = { ARGV[1], '0' }
end
return { m[1], tonumber(m[2]), redis.call('HGETALL', KEYS[3]) }`)

/**
 * Renews the lease of a node, unless it has run out: then its name is spent, and whoever comes next cleans
 * up after it.
 *
 * KEYS: leases, scored by their end. ARGV: node, length in milliseconds.
 * Returns 'renewed', 'new' or 'expired', and the nodes whose lease has run out.
 */
export const LEASE_SCRIPT: RedisScript = redisScript(`local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
local state = 'new'
if ends then state = tonumber(ends) > now and 'renewed' or 'expired' end
if state ~= 'expired' then redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1]) end
return { state, redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 16) }`)

/** KEYS: leases. ARGV: node. */
export const UNLEASE_SCRIPT: RedisScript = redisScript(`return redis.call('ZREM', KEYS[1], ARGV[1])`)

/** KEYS: secret. ARGV: one to agree on, if there is none. */
export const SECRET_SCRIPT: RedisScript = redisScript(`redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])`)

/** KEYS: rooms of a node. */
export const NODE_ROOMS_SCRIPT: RedisScript = redisScript(`return redis.call('SMEMBERS', KEYS[1])`)

/**
 * Reads a room's position and what follows an offset, in one step, and opens the room's first epoch when it
 * has none, so that a reader of an empty room holds a position it can come back to.
 *
 * KEYS: meta, stream. ARGV: offset or '' for none, most messages, ttl, epoch to open, run id.
 * Returns epoch, top, earlier epochs, offset of the first message, texts.
 */
export const READ_SCRIPT: RedisScript = redisScript(`local meta, stream = KEYS[1], KEYS[2]
local m = redis.call('HMGET', meta, 'e', 'o', 'p')
if not m[1] then
  redis.call('DEL', stream)
  redis.call('HSET', meta, 'e', ARGV[4], 'o', 0, 'r', ARGV[5])
  m = { ARGV[4], '0', false }
end
redis.call('PEXPIRE', meta, math.max(86400000, 2 * tonumber(ARGV[3])))
local first, texts = 0, {}
if ARGV[1] ~= '' and tonumber(ARGV[1]) < tonumber(m[2]) then
  for _, entry in ipairs(redis.call('XRANGE', stream, (ARGV[1] + 1) .. '-0', '+', 'COUNT', ARGV[2])) do
    if first == 0 then first = tonumber(string.match(entry[1], '^%d+')) end
    texts[#texts + 1] = entry[2][2]
  end
end
return { m[1], tonumber(m[2]), m[3] or '', first, texts }`)
