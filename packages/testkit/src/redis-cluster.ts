import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Closeable } from '@cays/core/lifecycle'
import { TestkitError } from './errors.ts'
import { type ClusterSeat, clusterSeats, nodesFile, PLACEHOLDER } from './redis-cluster-layout.ts'
import { ClusterMap, toSlot } from './redis-cluster-map.ts'
import { lag, type RedisFailoverOptions, restore } from './redis-failover.ts'
import { onFreshGround } from './redis-ground.ts'
import { groupVerbs, type RedisGroupVerbs } from './redis-group.ts'
import { type MigrateSlotOptions, migrateSlot } from './redis-migrate.ts'
import type { ReadClusterOptions } from './redis-options.ts'
import { RedisServer } from './redis-server.ts'
import type { RedisNode } from './redis-verbs.ts'
import { waitUntil } from './redis-wait.ts'

/** Consecutive slots with the nodes that hold them. */
export interface ClusterSlots {
  readonly first: number
  readonly last: number
  readonly primary: RedisNode
  readonly replicas: readonly RedisNode[]
}

/** A cluster. Verbs reach all its nodes at once. */
export interface ClusterRedis extends RedisGroupVerbs, Closeable {
  readonly mode: 'cluster'
  /** All nodes; first those that were primaries at the start. Usable as a client's list of start nodes. */
  readonly nodes: readonly RedisNode[]
  /** Who holds which slots now, in the order of slots. */
  slots(): Promise<readonly ClusterSlots[]>
  /** The primary of a slot, or of a key's slot, now. */
  primaryOf(slotOrKey: number | string): Promise<RedisNode>
  /** Moves a slot with its keys to another primary while clients go on. */
  migrateSlot(slotOrKey: number | string, to: RedisNode, options?: MigrateSlotOptions): Promise<void>
  /**
   * Makes a replica of one shard its primary and resolves to it when the cluster is whole again. The shard is
   * that of the slot, or of the key, in `of`; by default that of slot 0.
   */
  failover(options?: RedisFailoverOptions & { readonly of?: number | string | undefined }): Promise<RedisNode>
}

export async function startCluster(options: ReadClusterOptions): Promise<ClusterRedis> {
  const { primaries, replicas } = options
  return await onFreshGround(2 * primaries * (1 + replicas), async ({ ports, ...ground }) => {
    const { lifecycle } = ground
    const seats = clusterSeats(primaries, replicas, ports)
    const nodes = seats.map(
      ({ port, busPort }) =>
        new RedisServer({
          ...ground,
          folder: join(ground.folder, String(port)),
          port,
          password: options.password,
          settings: {
            'cluster-enabled': 'yes',
            'cluster-port': busPort,
            'cluster-announce-ip': '127.0.0.1',
            'cluster-node-timeout': options.nodeTimeout,
            // A primary left without slots stays one, and replicas stay with their shard: tests decide.
            'cluster-allow-replica-migration': 'no',
            ...options.config,
          },
        }),
    )
    const map = new ClusterMap(nodes, seats)
    const settled = async () => {
      await waitUntil('every node finds the cluster whole', () => map.isWhole(), {
        timeout: 30_000 + 10 * options.nodeTimeout,
        signal: lifecycle.signal,
      })
    }

    lifecycle.onClose(() => Promise.all(nodes.map((node) => node.kill())))
    await Promise.all(
      seats.map(async (seat, index) => {
        const home = join(ground.folder, String(seat.port))
        await mkdir(home)
        await writeFile(join(home, 'nodes.conf'), nodesFile(seats, seat))
        await nodes[index]?.launch(options.signal)
      }),
    )
    await introduce(seats, nodes, options.signal)
    await settled()

    return {
      mode: 'cluster',
      nodes,
      ...groupVerbs({ servers: nodes, homeOf: (key) => map.primaryOf(key), settled }),
      primaryOf: (slotOrKey) => map.primaryOf(slotOrKey),
      slots: () => slotsOf(map),
      async migrateSlot(slotOrKey, node, migration = {}) {
        const slot = toSlot(slotOrKey)
        const from = await map.primaryOf(slot)
        const to = nodes.find((each) => each === node)
        if (!to)
          throw new TestkitError('TESTKIT_ERR_OPTIONS', 'migrateSlot: the target is no node of this cluster')
        if (to !== from) await migrateSlot(map, { slot, from, to }, migration)
      },
      async failover({ of = 0, lagging, cause = 'planned', signal: outer } = {}) {
        const signal = outer ? AbortSignal.any([outer, lifecycle.signal]) : lifecycle.signal
        const slot = toSlot(of)
        const old = await map.primaryOf(slot)
        const others = await map.replicasOf(old)
        const [heir] = others
        if (!heir)
          throw new TestkitError('TESTKIT_ERR_STATE', 'failover: no replica of this shard is running')
        await lag(old, others, lagging, signal)
        try {
          if (cause === 'crash') await old.kill()
          // A replica that lacks writes would not get the votes of a planned failover: it takes over unasked.
          else await heir.command('CLUSTER', 'FAILOVER', ...(lagging ? ['TAKEOVER'] : []))
          await waitUntil(
            'every node sees a new primary',
            async () => ![old, undefined].includes(await map.agreedPrimaryOf(slot)),
            { timeout: 20_000 + 10 * options.nodeTimeout, signal },
          )
        } finally {
          await restore(others)
        }
        await settled()
        return await map.primaryOf(slot)
      },
      close: () => lifecycle.close(),
      [Symbol.asyncDispose]: () => lifecycle.close(),
    }
  })
}

async function slotsOf(map: ClusterMap): Promise<readonly ClusterSlots[]> {
  const members = await map.view()
  return members
    .flatMap((member) => {
      const primary = map.nodeOf(member.id)
      if (!primary) return []
      const followers = members.filter((each) => each.primary === member.id)
      const replicas = followers.flatMap((each) => map.nodeOf(each.id) ?? [])
      return member.slots.map((range) => ({ ...range, primary, replicas }))
    })
    .sort((a, b) => a.first - b.first)
}

// See nodesFile for why primaries start as replicas of nobody.
async function introduce(
  seats: readonly ClusterSeat[],
  nodes: readonly RedisServer[],
  signal: AbortSignal | undefined,
): Promise<void> {
  await Promise.all(
    nodes.map(async (node, index) => {
      if (seats[index]?.replica !== 0) return
      await waitUntil(
        'a node is ready to take over',
        async () => String(await node.command('CLUSTER', 'INFO')).includes('cluster_state:ok'),
        { timeout: 5_000, signal },
      )
      await node.command('CLUSTER', 'FAILOVER', 'TAKEOVER')
      await node.command('CLUSTER', 'FORGET', PLACEHOLDER)
    }),
  )
  const meetings = nodes.flatMap((node, index) =>
    seats
      .slice(index + 1)
      .map((other) => node.command('CLUSTER', 'MEET', '127.0.0.1', other.port, other.busPort)),
  )
  await Promise.all(meetings)
}
