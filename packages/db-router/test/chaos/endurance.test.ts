import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { type FaultProxy, type PostgresCluster, startFaultProxy, startPostgres } from '@cays/testkit'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Holdings } from '../endurance-worker.ts'

/** How long it goes on; an hour in `npm run soak`. */
const MINUTES = Number(process.env.CAYS_MINUTES ?? 0)
/** Rounds before what is held counts: everything has been opened and compiled by then. */
const WARM_UP = 2
const FEWEST = WARM_UP + 2
/** Statements before what is held says anything. */
const ENOUGH = 100

const seed = Number(process.env.CAYS_SEED ?? Math.floor(Math.random() * 2 ** 31))
let state = seed || 1

function random(below: number): number {
  state = (state * 48_271) % 2_147_483_647
  return state % below
}

let cluster: PostgresCluster
let proxies: readonly FaultProxy[]
let worker: ChildProcess
let hear: (held: Holdings | Error) => void = () => {}

beforeAll(async () => {
  cluster = await startPostgres({ replicas: 2 })
  proxies = await Promise.all(cluster.nodes.map((node) => startFaultProxy(node.url)))
  worker = fork(
    join(import.meta.dirname, '../endurance-worker.ts'),
    proxies.map((proxy) => proxy.url),
    { execArgv: ['--expose-gc', '--import', 'tsx', '--conditions=@cays/source'] },
  )
  worker.on('message', (held: Holdings) => hear(held))
  worker.on('exit', (code) => hear(new Error(`the process ended with code ${code}`)))
})

afterAll(async () => {
  worker?.kill('SIGKILL')
  await Promise.all((proxies ?? []).map((proxy) => proxy.close()))
  await cluster?.close()
})

/** What the worker holds once all it has under way is over. */
async function holdings(): Promise<Holdings> {
  worker.send('pause')
  const held = await new Promise<Holdings | Error>((resolve) => {
    hear = resolve
  })
  if (held instanceof Error) throw held
  worker.send('resume')
  return held
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

const FAULTS: readonly (() => Promise<unknown>)[] = [
  async () => {
    const node = cluster.replicas[random(2)]
    await node?.kill()
    await pause(300)
    await node?.start()
  },
  async () => {
    await cluster.primary.kill()
    await pause(300)
    await cluster.primary.start()
  },
  async () => {
    for (const proxy of proxies) {
      proxy.reset()
      await pause(random(100))
    }
  },
  async () => {
    const proxy = proxies[random(3)]
    proxy?.set({ blackhole: true })
    await pause(1_500)
    await proxy?.heal()
    proxy?.reset()
  },
]

test('a process that lives through faults again and again holds no more than before, and never ends of one', {
  timeout: 240_000 + MINUTES * 120_000,
}, async () => {
  console.log(`seed ${seed}`)
  const end = Date.now() + MINUTES * 60_000
  const held: Holdings[] = []
  const done = () => held.at(-1)?.done ?? 0
  for (let round = 0; round < FEWEST || done() < ENOUGH || Date.now() < end; round++) {
    await FAULTS[round % FAULTS.length]?.()
    await pause(500)
    held.push(await holdings())
  }
  const counted = held.slice(WARM_UP)
  const middle = (values: readonly number[]) =>
    values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN
  const quarter = Math.max(1, counted.length >> 2)
  const grown = (what: (one: Holdings) => number) => {
    const [before, after] = [counted.slice(0, quarter), counted.slice(-quarter)].map((some) =>
      middle(some.map(what)),
    ) as [number, number]
    return { before, after }
  }
  const heap = grown(({ heap }) => heap / 2 ** 20)
  const sockets = grown(({ sockets }) => sockets)
  const listeners = grown(({ listeners }) => listeners)
  const last = held.at(-1)
  console.log(
    `${held.length} faults, ${last?.done} statements done and ${last?.failed} failed; heap ${heap.before.toFixed(1)} → ${heap.after.toFixed(1)} MiB, sockets ${sockets.before} → ${sockets.after}, listeners ${listeners.before} → ${listeners.after}`,
  )
  expect(last?.strange).toEqual([])
  // Per server the pool and the probes; one that listens, and the channel to this process.
  expect(Math.max(...held.map(({ sockets }) => sockets))).toBeLessThanOrEqual(3 * (4 + 1) + 2)
  expect(listeners.after).toBe(listeners.before)
  // Code that is compiled late is not what grows without end.
  expect(heap.after).toBeLessThan(heap.before * 1.1 + 2)
})
