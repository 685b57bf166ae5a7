import { type RedisScript, redisScript } from '@cays/core/redis-script'

// Leases of one subject: a sorted set of lease ids by the time they end, on the server's clock in milliseconds. The
// key lives as long as the longest of them, whatever life this process gives its own.

/** KEYS: the leases. ARGV: limit, life of a lease, id. Answers { 1 taken or 0 full, leases in use }. */
export const enterScript: RedisScript = redisScript(`
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local used = redis.call('ZCARD', KEYS[1])
if used >= tonumber(ARGV[1]) then return { 0, used } end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2], 'NX')
redis.call('PEXPIRE', KEYS[1], ARGV[2], 'GT')
return { 1, used + 1 }
`)

/** KEYS: the leases. ARGV: life of a lease, ids. Extends those that still exist; answers the ids of the others. */
export const renewScript: RedisScript = redisScript(`
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local lost = {}
for i = 2, #ARGV do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i])
  else
    lost[#lost + 1] = ARGV[i]
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[1], 'GT')
return lost
`)

/** KEYS: the leases. ARGV: id. */
export const leaveScript: RedisScript = redisScript(`return redis.call('ZREM', KEYS[1], ARGV[1])`)
