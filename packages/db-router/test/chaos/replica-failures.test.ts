import {
  type FaultProxy,
  type PostgresCluster,
  type PostgresNode,
  startFaultProxy,
  startPostgres,
} from '@cays/testkit'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { createRouter, type Router, type RouterOptions } from '../../src/index.ts'
import { closed } from '../closed.ts'
import { PATIENT, settled } from '../settled.ts'

const WHERE = 'select pg_is_in_recovery() as replica, inet_server_port() as port'

let cluster: PostgresCluster
let replicas: readonly [PostgresNode, PostgresNode]
let proxies: readonly FaultProxy[]
const routers: Router[] = []

async function router(options: Partial<RouterOptions> = {}): Promise<Router> {
  const made = createRouter({
    primary: cluster.url,
    replicas: proxies.map((proxy) => proxy.url),
    consistency: 'eventual',
    pool: PATIENT.pool,
    buffer: PATIENT.buffer,
    fallback: PATIENT.fallback,
    ...options,
  })
  routers.push(made)
  await settled(made, 2)
  return made
}

/** Counts the milliseconds in which this process got to run: while others have the machine, no timer fires. */
class LivedTime {
  #lived = 0
  readonly #ticking = setInterval(() => {
    this.#lived += 10
  }, 10)

  get now(): number {
    return this.#lived
  }

  stop(): void {
    clearInterval(this.#ticking)
  }
}

/** Reads from `workers` loops until stopped; gives what failed and the longest wait. */
function load(db: Router, workers = 8) {
  const time = new LivedTime()
  let stopped = false
  const failures: unknown[] = []
  let reads = 0
  let longest = 0
  const loops = Array.from({ length: workers }, async () => {
    while (!stopped) {
      const started = time.now
      try {
        await db.query('select count(*) from pg_class')
        reads++
      } catch (error) {
        if (closed(error)) return
        failures.push(error)
      }
      longest = Math.max(longest, time.now - started)
    }
  })
  return async () => {
    stopped = true
    await Promise.all(loops)
    time.stop()
    return { failures, reads, longest }
  }
}

function healthOf(db: Router, proxy: FaultProxy | undefined) {
  return db.topology().find((server) => server.server.endsWith(`:${proxy?.port}`))?.health
}

beforeAll(async () => {
  cluster = await startPostgres({ replicas: 2 })
  replicas = cluster.replicas as unknown as typeof replicas
  proxies = await Promise.all(replicas.map((replica) => startFaultProxy(replica.url)))
})

afterEach(async () => {
  await Promise.all(routers.splice(0).map((made) => made.close()))
  await Promise.all(proxies.map((proxy) => proxy.heal()))
})

afterAll(async () => {
  await Promise.all((proxies ?? []).map((proxy) => proxy.close()))
  await cluster?.close()
})

test('a replica that is killed under load costs no read, and serves again when it is back', async () => {
  const db = await router()
  const stop = load(db)
  await new Promise((resolve) => setTimeout(resolve, 200))
  await replicas[0].kill()
  await expect.poll(() => healthOf(db, proxies[0]), { timeout: 30_000 }).toBe('down')
  await replicas[0].start()
  await expect.poll(() => healthOf(db, proxies[0]), { timeout: 30_000 }).toBe('up')
  const { failures, reads } = await stop()
  expect(failures).toEqual([])
  expect(reads).toBeGreaterThan(0)
})

test('a replica whose line goes dead without a word is left within two seconds, and no read waits longer', async () => {
  const db = await router()
  const time = new LivedTime()
  const stop = load(db)
  await new Promise((resolve) => setTimeout(resolve, 200))
  proxies[0]?.set({ blackhole: true })
  const cut = time.now
  await expect.poll(() => healthOf(db, proxies[0]), { timeout: 30_000, interval: 10 }).toBe('down')
  const ejected = time.now - cut
  time.stop()
  const { failures, longest } = await stop()
  expect(failures).toEqual([])
  expect(ejected).toBeLessThanOrEqual(2_000)
  // Until it was left, and then once more elsewhere.
  expect(longest).toBeLessThanOrEqual(2_500)
})

test('a replica whose probes are good but whose statements fail is left, and its reads run elsewhere', async () => {
  const db = await router()
  const sorting =
    'select count(*) from (select g from generate_series(1, 300000) g order by g desc offset 0) s'
  await replicas[0].configure({ temp_file_limit: '0' })
  try {
    await expect
      .poll(
        async () => {
          expect((await db.query(sorting)).rows).toEqual([{ count: '300000' }])
          return healthOf(db, proxies[0])
        },
        { timeout: 30_000 },
      )
      .toBe('down')
    expect(healthOf(db, proxies[1])).toBe('up')
  } finally {
    await replicas[0].configure({ temp_file_limit: '-1' })
  }
})

test('a replica that is frozen is left and its reads run elsewhere', async () => {
  const db = await router()
  const stop = load(db)
  await new Promise((resolve) => setTimeout(resolve, 200))
  await replicas[1].freeze()
  try {
    await expect.poll(() => healthOf(db, proxies[1]), { timeout: 30_000 }).toBe('down')
  } finally {
    await replicas[1].thaw()
  }
  await expect.poll(() => healthOf(db, proxies[1]), { timeout: 30_000 }).toBe('up')
  expect((await stop()).failures).toEqual([])
})

test.each([false, true])(
  'connections that are reset in the middle of reads cost none of them, pipelined: %s',
  async (pipeline) => {
    const db = await router({ pipeline, prepare: pipeline })
    const stop = load(db)
    for (let round = 0; round < 10; round++) {
      await new Promise((resolve) => setTimeout(resolve, 50))
      proxies[round % 2]?.reset()
    }
    expect((await stop()).failures).toEqual([])
  },
)

test('a slow replica gets fewer reads than a quick one', async () => {
  const db = await router()
  proxies[0]?.set({ latency: '200ms' })
  const ports: number[] = []
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let read = 0; read < 15; read++) ports.push((await db.query(WHERE)).rows[0]?.port)
    }),
  )
  const slow = ports.filter((port) => port === replicas[0].port).length
  expect(slow).toBeLessThan(ports.length / 2)
})

test('a recovery conflict cancels a read on one replica and it runs again on another server', async () => {
  const db = await router()
  const reads = Array.from({ length: 6 }, () =>
    db.query({ text: 'select count(*) from pg_class, pg_sleep(1.5)', route: 'replica', idempotent: true }),
  )
  await new Promise((resolve) => setTimeout(resolve, 300))
  await cluster.recoveryConflict(replicas[0])
  const settledReads = await Promise.allSettled(reads)
  expect(settledReads.filter((read) => read.status === 'rejected')).toEqual([])
})

test('a backend that is terminated while idle neither fails a read nor ends the process', async () => {
  const db = await router()
  await Promise.all(Array.from({ length: 8 }, () => db.query(WHERE)))
  for (const node of cluster.nodes) {
    await node.sql(
      "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()",
    )
  }
  const reads = await Promise.allSettled(Array.from({ length: 20 }, () => db.query(WHERE)))
  expect(reads.filter((read) => read.status === 'rejected')).toEqual([])
})

test('without replicas reads use their share of the primary, and what is too much is shed at once', async () => {
  const db = await router({
    pool: { ...PATIENT.pool, max: 4 },
    fallback: { ...PATIENT.fallback, share: 0.5, queue: 2 },
  })
  for (const proxy of proxies) {
    proxy.refuse()
    proxy.reset()
  }
  await expect
    .poll(() => proxies.map((proxy) => healthOf(db, proxy)), { timeout: 30_000 })
    .toEqual(['down', 'down'])
  expect((await db.query(WHERE)).rows[0]?.replica).toBe(false)
  const slow = () =>
    db.query({ text: 'select pg_is_in_recovery(), count(*) from generate_series(1, 500000)' })
  const results = await Promise.allSettled(Array.from({ length: 10 }, slow))
  const shed = results.filter((result) => result.status === 'rejected')
  expect(results.length - shed.length).toBe(4)
  for (const result of shed) {
    expect(result).toMatchObject({
      reason: { code: 'DB_ERR_FALLBACK_SHED', outcome: 'not-executed', retryable: true },
    })
  }
  // Writes are not reads and keep the rest of the connections.
  await db.query('create table if not exists kept (id int)')
})

test('with the fallback off a read without a replica fails and says why', async () => {
  const db = await router({ fallback: false })
  for (const proxy of proxies) {
    proxy.refuse()
    proxy.reset()
  }
  await expect
    .poll(() => proxies.map((proxy) => healthOf(db, proxy)), { timeout: 30_000 })
    .toEqual(['down', 'down'])
  await expect(db.query(WHERE)).rejects.toMatchObject({ code: 'DB_ERR_NO_REPLICA', outcome: 'not-executed' })
})
