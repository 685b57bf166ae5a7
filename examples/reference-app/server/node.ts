import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { fileURLToPath } from 'node:url'
import { createCache } from '@cays/cache'
import { createRouter } from '@cays/db-router'
import { Redis } from 'ioredis'
import { type Logger, pino } from 'pino'
import type { DatabaseStatus, NodeStatus } from '../contract/status.ts'
import { createApp } from './app.ts'
import { memorySessions } from './auth/memory-sessions.ts'
import { createPasswords } from './auth/passwords.ts'
import { redisSessions } from './auth/redis-sessions.ts'
import type { Config } from './config.ts'
import { createReadiness } from './http/health.ts'
import { gracefulShutdown } from './http/shutdown.ts'
import { createJobPages } from './job-pages.ts'
import { createLimits } from './limits.ts'
import { createLive } from './live.ts'
import { createRedisGate } from './redis-gate.ts'
import { createResumes } from './resumes.ts'
import type { Services } from './services.ts'
import { createActivity } from './status/activity.ts'
import { createSystemStatus } from './status/system-status.ts'

const WEB = fileURLToPath(new URL('../web/dist', import.meta.url))
/** How long requests that run at the end may take. */
const FINISH = 20_000
const SWEEP_EVERY = 60 * 60_000

/** One node of Harbour, listening. */
export interface HarbourNode {
  readonly port: number
  /** Leaves without a failed request; more calls join the first. */
  close(): Promise<void>
}

/** Composes the packages into one node and starts to listen. */
export async function startNode(config: Config): Promise<HarbourNode> {
  const log = pino({ level: config.logLevel, base: { node: config.name } })
  const startedAt = new Date()
  const redis = config.redisUrl === undefined ? undefined : await connectRedis(config.redisUrl, log)
  const gate = redis && createRedisGate(redis)

  const names = databaseNames(config)
  const db = createRouter({
    name: 'harbour',
    primary: config.databaseUrl,
    replicas: config.replicaUrls,
    pool: { max: 10, idleTimeoutMillis: 30_000 },
    bookmark: { secret: config.secret },
    health: { interval: '250ms' },
    maxStaleness: '5s',
  })
  db.on('error', (error: unknown) => log.warn({ err: error }, 'an idle database connection broke'))

  const activity = createActivity({
    node: config.name,
    databaseName: (server) => names.get(server) ?? server,
  })
  const cache = createCache({ name: 'harbour', ...(redis ? { redis } : {}), l1: { maxItems: 5_000 } })
  const live = createLive(config, redis, log)
  const resumes = createResumes(config)
  const limits = createLimits(redis, activity)
  const readiness = createReadiness()
  const sweeper = setInterval(() => {
    resumes.sweep().then(
      ({ objects, uploads, failures }) =>
        log.info({ objects, uploads, failures: failures.length }, 'swept the bucket'),
      (error: unknown) =>
        log.warn({ err: error }, 'the bucket could not be swept; the next hour tries again'),
    )
  }, SWEEP_EVERY)

  const own = (): NodeStatus => {
    const { sockets, rooms } = live.health()
    return {
      name: config.name,
      state: readiness.accepting ? 'ready' : 'draining',
      startedAt: startedAt.toISOString(),
      sockets,
      rooms,
      memory: process.memoryUsage.rss(),
      cache: activity.cache,
      limiter: activity.limiter,
      redis: gate ? (gate.open ? 'up' : 'down') : 'none',
      bucket: resumes.up ? 'up' : 'down',
      databases: db.topology().map(
        (server): DatabaseStatus => ({
          name: names.get(server.server) ?? server.server,
          role: server.role,
          up: server.health === 'up',
          lagBytes: server.behind ?? null,
          lagMilliseconds: server.staleness ?? null,
        }),
      ),
      recent: activity.recent(),
    }
  }

  const services: Services = {
    config,
    db,
    jobPages: createJobPages(cache, db, redis, gate),
    sessions: redis && gate ? redisSessions(redis, gate) : memorySessions(),
    passwords: createPasswords(),
    live,
    resumes,
    limits,
    status: createSystemStatus({ own, peers: config.peers, demo: config.demo }),
    readiness,
  }
  const server = createServer(
    { requestTimeout: 30_000, headersTimeout: 10_000 },
    createApp({ services, activity, log, web: WEB }),
  )
  live.attach(server)
  const port = await listen(server, config)
  log.info({ port }, 'listening')

  const close = gracefulShutdown({
    server,
    readiness,
    log,
    notice: config.drainNotice,
    limit: FINISH,
    drainSockets: () => live.drain(Math.min(2_000, FINISH / 2)),
    close: async () => {
      clearInterval(sweeper)
      await live.close()
      await limits.limiter.close()
      await cache.close()
      await resumes.close()
      await db.close()
      activity[Symbol.dispose]()
      redis?.disconnect()
    },
  })
  return { port, close }
}

/** Waits a moment for the connection: the first visitors of a node should not meet a shut gate. */
async function connectRedis(url: string, log: Logger): Promise<Redis> {
  const redis = new Redis(url, {
    // An answer that takes longer than this is of no use to a request that waits for it.
    commandTimeout: 1_000,
    connectTimeout: 2_000,
    maxRetriesPerRequest: 1,
    retryStrategy: (attempt) => Math.min(100 * attempt, 1_000),
  })
  let up = true
  redis.on('error', (error) => {
    if (up) log.warn({ err: error }, 'Redis is away')
    up = false
  })
  redis.on('ready', () => {
    if (!up) log.info('Redis is back')
    up = true
  })
  await once(redis, 'ready', { signal: AbortSignal.timeout(2_000) }).catch(() => {})
  return redis
}

/** `db-1` is the configured primary; names stay with the servers when roles change. */
function databaseNames(config: Config): ReadonlyMap<string, string> {
  return new Map(
    [config.databaseUrl, ...config.replicaUrls].map((url, index) => [new URL(url).host, `db-${index + 1}`]),
  )
}

async function listen(server: Server, config: Config): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port: config.port, host: config.host, backlog: 4_096 }, () => resolve())
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return address.port
}
