/** Works with a router in a process of its own, for `chaos/endurance.test.ts`, and counts what it holds. */
import { createRouter } from '../src/index.ts'

/** What the process holds while nothing runs. */
export interface Holdings {
  /** Bytes after a full collection. */
  readonly heap: number
  readonly sockets: number
  readonly listeners: number
  /** Statements that succeeded and that failed so far. */
  readonly done: number
  readonly failed: number
  /** Errors that do not say what became of the statement. */
  readonly strange: readonly string[]
}

const CALLERS = 6
const [primary = '', ...replicas] = process.argv.slice(2)
const signal = () => AbortSignal.timeout(Math.ceil(Math.random() * 20))
const db = createRouter({
  primary,
  replicas,
  pool: { max: 4, connectionTimeoutMillis: 60_000 },
  buffer: { window: '60s' },
  pipeline: true,
  prepare: true,
  bookmark: { secret: 'a secret of the test suite' },
})
let done = 0
let failed = 0
const strange = new Set<string>()
let paused = false
let resume = () => {}

const KINDS: readonly (() => Promise<unknown>)[] = [
  () => db.query('select count(*) from notes where id < $1', [100]),
  () => db.query({ text: 'select $1::int as one', values: [1], consistency: 'eventual' }),
  () => db.query('insert into notes (body) values ($1)', ['a']),
  () => db.query({ text: 'select pg_sleep(0.01)', signal: signal() }),
  () => db.query({ text: 'select pg_sleep(0.01)', timeout: 5 }),
  () => db.transaction({ retry: 2 }, (tx) => tx.query('update notes set body = $1 where id = 1', ['b'])),
  () => db.transaction({ readOnly: true }, (tx) => tx.query('select max(id) from notes')),
  () =>
    db.session({ from: db.bookmark() }, async () => {
      await db.query('insert into notes (body) values ($1)', ['c'])
      await db.query('select max(id) from notes')
    }),
  () => db.query('select * from nowhere'),
  async () => {
    const client = await db.connect()
    try {
      await client.query('select 1')
      await client.query('begin')
      await client.query('select 2')
      await client.query('rollback')
    } finally {
      client.release()
    }
  },
]

async function call(): Promise<void> {
  while (!paused) {
    const kind = KINDS[Math.floor(Math.random() * KINDS.length)]
    try {
      await kind?.()
      done++
    } catch (error) {
      failed++
      const { outcome, name } = error as { outcome?: unknown; name?: string }
      if (outcome === undefined && name !== 'TimeoutError') strange.add(String(error))
    }
  }
}

async function work(): Promise<void> {
  for (;;) {
    await Promise.all(Array.from({ length: CALLERS }, call))
    process.send?.(await holdings())
    await new Promise<void>((resolve) => {
      resume = resolve
    })
  }
}

async function holdings(): Promise<Holdings> {
  for (let round = 0; round < 6; round++) {
    globalThis.gc?.()
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  const listeners = (emitter: NodeJS.EventEmitter) =>
    emitter.eventNames().reduce((sum, name) => sum + emitter.listenerCount(name), 0)
  return {
    heap: process.memoryUsage().heapUsed,
    sockets: process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length,
    listeners: listeners(db as unknown as NodeJS.EventEmitter) + listeners(process),
    done,
    failed,
    strange: [...strange],
  }
}

process.on('message', (message) => {
  paused = message === 'pause'
  if (!paused) resume()
})
await db.query('create table if not exists notes (id serial primary key, body text)')
await db.query("insert into notes (body) values ('first')")
await db.listen('tides', { message: () => {}, gap: () => {} })
await work()
