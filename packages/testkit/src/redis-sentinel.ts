import { join } from 'node:path'
import type { Closeable } from '@cays/core/lifecycle'
import { TestkitError } from './errors.ts'
import { lag, type RedisFailoverOptions, restore } from './redis-failover.ts'
import { onFreshGround } from './redis-ground.ts'
import { groupVerbs, type RedisGroupVerbs } from './redis-group.ts'
import type { ReadSentinelOptions } from './redis-options.ts'
import { type RedisSentinel, Sentinel } from './redis-sentinel-process.ts'
import { RedisServer } from './redis-server.ts'
import type { RedisNode, RedisSettings } from './redis-verbs.ts'
import { waitUntil } from './redis-wait.ts'

/** A primary, its replicas, and the sentinels that watch them. Verbs reach the primary and all replicas at once. */
export interface SentinelRedis extends RedisGroupVerbs, Closeable {
  readonly mode: 'sentinel'
  /** What sentinels call this set-up. */
  readonly name: string
  /** Usable as a client's list of sentinels. */
  readonly sentinels: readonly RedisSentinel[]
  /** The servers that hold data; the first was the primary at the start. */
  readonly nodes: readonly RedisNode[]
  /** The primary that most sentinels name now. */
  primary(): Promise<RedisNode>
  /**
   * Makes a replica the primary and resolves to it when every running sentinel names it and all others follow.
   * A node that comes back with `start` asks the sentinels who the primary is and follows it.
   */
  failover(options?: RedisFailoverOptions): Promise<RedisNode>
}

export async function startSentinel(options: ReadSentinelOptions): Promise<SentinelRedis> {
  const { name, password, replicas } = options
  return await onFreshGround(1 + replicas + options.sentinels, async ({ ports, ...ground }) => {
    const { lifecycle } = ground
    const watched = ports.slice(0, 1 + replicas)
    const sentinelPorts = ports.slice(1 + replicas)
    const sentinels = sentinelPorts.map(
      (port) => new Sentinel({ ...ground, ...options, port, watched, sentinels: sentinelPorts }),
    )

    let primaryPort = watched[0]
    const askPrimary = async (): Promise<number | undefined> => {
      const asked = sentinels.filter((sentinel) => sentinel.state === 'running')
      const answers = asked.map((sentinel) => sentinel.primaryPort().catch(() => undefined))
      primaryPort = mostNamed(await Promise.all(answers)) ?? primaryPort
      return primaryPort
    }
    const nodes = watched.map(
      (port) =>
        new RedisServer({
          ...ground,
          folder: join(ground.folder, String(port)),
          port,
          password,
          settings: options.config,
          async atStart(): Promise<RedisSettings> {
            const primary = await askPrimary()
            return primary === port ? {} : { replicaof: `127.0.0.1 ${primary}` }
          },
        }),
    )
    const primary = async (): Promise<RedisServer> => {
      const port = await askPrimary()
      const node = nodes.find((each) => each.port === port)
      if (!node)
        throw new TestkitError('TESTKIT_ERR_STATE', 'the sentinels name a primary that is none of ours')
      return node
    }
    const settled = async () => {
      const signal = lifecycle.signal
      await waitUntil('the primary has all its replicas', () => follow(nodes, primary), {
        timeout: 30_000,
        signal,
      })
      await waitUntil('the sentinels are content', () => content(sentinels, primary), {
        timeout: 30_000,
        signal,
      })
    }

    lifecycle.onClose(() => Promise.all([...nodes, ...sentinels].map((each) => each.kill())))
    await nodes[0]?.launch(options.signal)
    await Promise.all(nodes.slice(1).map((node) => node.launch(options.signal)))
    await settled()
    await Promise.all(sentinels.map((sentinel) => sentinel.launch(options.signal)))
    await waitUntil(
      'the sentinels know each other and the replicas',
      async () => {
        const ready = await Promise.all(sentinels.map((each) => each.knows(sentinels.length, replicas)))
        return ready.every(Boolean)
      },
      { timeout: 15_000, signal: options.signal },
    )

    return {
      mode: 'sentinel',
      name,
      sentinels,
      nodes,
      primary,
      ...groupVerbs({ servers: nodes, homeOf: primary, settled }),
      async failover({ lagging, cause = 'planned', signal: outer } = {}) {
        const signal = outer ? AbortSignal.any([outer, lifecycle.signal]) : lifecycle.signal
        const old = await primary()
        const others = nodes.filter((node) => node !== old && node.state === 'running')
        if (others.length === 0)
          throw new TestkitError('TESTKIT_ERR_STATE', 'failover: no replica is running')
        await lag(old, others, lagging, signal)
        try {
          if (cause === 'crash') await old.kill()
          else await order(sentinels, name, signal)
          await waitUntil('all sentinels name a new primary', () => agree(sentinels, others), {
            timeout: 30_000,
            signal,
          })
        } finally {
          await restore(others)
        }
        const promoted = await primary()
        // Sentinels do the same, some seconds later: until then the old primary would go on taking writes.
        if (old.state === 'running') {
          await old.command('REPLICAOF', promoted.host, promoted.port)
          await old.killClients()
        }
        await settled()
        // Sentinels on a busy machine may have elected once more meanwhile.
        return await primary()
      },
      close: () => lifecycle.close(),
      [Symbol.asyncDispose]: () => lifecycle.close(),
    }
  })
}

// Refused while an earlier failover is being finished, and while no replica is known to be fit.
async function order(sentinels: readonly Sentinel[], name: string, signal: AbortSignal): Promise<void> {
  const sentinel = sentinels.find(({ state }) => state === 'running')
  if (!sentinel) throw new TestkitError('TESTKIT_ERR_STATE', 'failover: no sentinel is running')
  await waitUntil(
    'a sentinel begins the failover',
    async () => (await sentinel.command('SENTINEL', 'FAILOVER', name)) === 'OK',
    { timeout: 15_000, every: 100, signal },
  )
}

async function agree(sentinels: readonly Sentinel[], candidates: readonly RedisServer[]): Promise<boolean> {
  const asked = sentinels.filter((sentinel) => sentinel.state === 'running')
  const ports = new Set(await Promise.all(asked.map((sentinel) => sentinel.primaryPort())))
  const node = candidates.find(({ port }) => ports.size === 1 && ports.has(port))
  return node !== undefined && (await node.info()).get('role') === 'master'
}

// A crash while a sentinel still finishes a failover would leave it waiting for the dead for ever.
async function content(
  sentinels: readonly Sentinel[],
  primary: () => Promise<RedisServer>,
): Promise<boolean> {
  const { port } = await primary()
  const asked = sentinels.filter((sentinel) => sentinel.state === 'running')
  const answers = await Promise.all(asked.map((sentinel) => sentinel.trusts(port)))
  return answers.every(Boolean)
}

async function follow(nodes: readonly RedisServer[], primary: () => Promise<RedisServer>): Promise<boolean> {
  const first = await primary()
  const followers = nodes.filter((node) => node !== first && node.state === 'running')
  const [info, ...infos] = await Promise.all([first, ...followers].map((node) => node.info()))
  const following = infos.filter(
    (each) => each.get('master_link_status') === 'up' && each.get('master_port') === String(first.port),
  )
  return info?.get('role') === 'master' && following.length === followers.length
}

function mostNamed(ports: readonly (number | undefined)[]): number | undefined {
  const counts = new Map<number, number>()
  for (const port of ports) if (port !== undefined) counts.set(port, (counts.get(port) ?? 0) + 1)
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0]
}
