import { Lifecycle } from '@cays/core/lifecycle'
import type { OptionReader } from '@cays/core/options'
import { optionReader, TestkitError } from './errors.ts'
import { FaultProxy, type Faults } from './fault-proxy.ts'

/** Where the proxy leads: a URL with a host and port, or the two (`host` is 127.0.0.1 unless given). */
export type FaultProxyTarget = string | { readonly host?: string | undefined; readonly port: number }

export interface FaultProxyOptions extends Faults {
  /** Bytes that each direction of a connection may hold back. @default 1_048_576 */
  readonly capacity?: number | undefined
  /** Numbers in [0, 1) for the jitter; give a seeded source for a run that repeats. @default Math.random */
  readonly random?: (() => number) | undefined
}

/** Ports of URLs that name none. */
const DEFAULT_PORTS: Readonly<Record<string, number>> = {
  'http:': 80,
  'https:': 443,
  'postgres:': 5432,
  'postgresql:': 5432,
  'redis:': 6379,
  'rediss:': 6379,
}

/**
 * Starts a TCP proxy on 127.0.0.1 in front of `target`, anything that speaks TCP. It begins with the faults in
 * `options`, or with none, and carries bytes unchanged.
 *
 * A client's connection is accepted before the target's is made: a target that is down shows as a reset.
 *
 * @example
 * ```ts
 * await using proxy = await startFaultProxy('redis://127.0.0.1:16379')
 * proxy.set({ latency: '50ms', jitter: '20ms' })
 * proxy.set({ blackhole: true }, 'toClient')
 * await proxy.heal()
 * ```
 */
export async function startFaultProxy(
  target: FaultProxyTarget,
  options: FaultProxyOptions = {},
): Promise<FaultProxy> {
  const read = optionReader('startFaultProxy')
  const { capacity, random = Math.random, ...faults } = options
  const lifecycle = new Lifecycle({
    closed: () => new TestkitError('TESTKIT_ERR_CLOSED', 'the fault proxy is closed'),
    drain: 0,
  })
  const proxy = new FaultProxy({
    target: readTarget(target, read),
    model: typeof target === 'string' ? target : undefined,
    capacity: read.integer('capacity', capacity, 1_048_576, { min: 1 }),
    random: read.function('random', random) ?? Math.random,
    lifecycle,
  })
  proxy.set(faults)
  await proxy.accept()
  return proxy
}

function readTarget(
  target: FaultProxyTarget,
  read: OptionReader,
): { readonly host: string; readonly port: number } {
  if (typeof target === 'object' && target !== null) {
    const port = read.integer('target.port', read.required('target.port', target.port), 0, {
      min: 1,
      max: 65_535,
    })
    return { host: read.string('target.host', target.host, '127.0.0.1'), port }
  }
  if (typeof target !== 'string' || !URL.canParse(target)) read.fail('target must be a URL or have a port')
  const { hostname, port, protocol } = new URL(target)
  const number = Number(port) || DEFAULT_PORTS[protocol]
  if (!hostname || number === undefined) read.fail('target must be a URL with a host and a port')
  return { host: hostname.replace(/^\[|\]$/g, ''), port: number }
}
