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
  return redisScript(`local run = '${runId}'
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
for i = 7, #ARGV, 2 do
  local key = KEYS[(i - 1) / 2]
  local offset = top + 1
  if redis.call('SET', key, epoch .. ':' .. offset, 'PX', ARGV[i + 1], 'NX') then
    redis.call('XADD', stream, 'MAXLEN', size, offset .. '-0', 'd', ARGV[i])
    top = offset
    texts[#texts + 1] = ARGV[i]
    reply[#reply + 1] = offset
  else
    reply[#reply + 1] = redis.call('GET', key)
  end
end
redis.call('HSET', meta, 'o', top)
redis.call('PEXPIRE', stream, ttl)
redis.call('PEXPIRE', meta, math.max(86400000, 2 * ttl))
if #texts > 0 then
  redis.call(ARGV[3], ARGV[2], epoch .. ' ' .. first .. '\\n' .. table.concat(texts, '\\n'))
end
return reply`)
}

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
