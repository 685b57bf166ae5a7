import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Closeable } from '@cays/core/lifecycle'
import { TestkitError } from './errors.ts'
import { type ClusterSeat, clusterSeats, nodesFile, PLACEHOLDER } from './redis-cluster-layout.ts'
import { type ClusterMember, owns, readClusterNodes } from './redis-cluster-view.ts'
import { type FailoverOptions, lag } from './redis-failover.ts'
import { onFreshGround } from './redis-ground.ts'
import { groupVerbs } from './redis-group.ts'
import { type MigrateSlotOptions, moveSlot } from './redis-migrate.ts'
import type { ReadClusterOptions } from './redis-options.ts'
import { RedisServer } from './redis-server.ts'
import { SLOTS, slotOf } from './redis-slot.ts'
import type { RedisNode, RedisVerbs } from './redis-verbs.ts'
import { waitUntil } from './redis-wait.ts'

/** Consecutive slots with the nodes that hold them. */
export interface ClusterSlots {
  readonly first: number
  readonly last: number
  readonly primary: RedisNode
  readonly replicas: readonly RedisNode[]
}

export interface ClusterFailoverOptions extends FailoverOptions {
  /** A slot, or a key in it: the shard to fail over. @default 0 */
  readonly of?: number | string | undefined
}

/** A cluster. Verbs reach all its nodes at once. */
export interface ClusterRedis extends RedisVerbs, Closeable {
  readonly mode: 'cluster'
  /** All nodes; first those that were primaries at the start. Usable as a client's list of start nodes. */
  readonly nodes: readonly RedisNode[]
  /** Who holds which slots now, in the order of slots. */
  slots(): Promise<readonly ClusterSlots[]>
  /** The primary of a slot, or of a key's slot, now. */
  primaryOf(slotOrKey: number | string): Promise<RedisNode>
  /** Moves a slot with its keys to another primary while clients go on. */
  migrateSlot(slotOrKey: number | string, to: RedisNode, options?: MigrateSlotOptions): Promise<void>
  /** Makes a replica of one shard its primary and resolves to it when every running node sees it so. */
  failover(options?: ClusterFailoverOptions): Promise<RedisNode>
}

export async function startCluster(options: ReadClusterOptions): Promise<ClusterRedis> {
  const { primaries, replicas, signal } = options
  return await onFreshGround(
    2 * primaries * (1 + replicas),
    async ({ program, folder, ports, lifecycle }) => {
      const seats = clusterSeats(primaries, replicas, ports)
      const nodes = seats.map(
        ({ port, busPort }) =>
          new RedisServer({
            program,
            folder: join(folder, String(port)),
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
      const nodeOf = (id: string | undefined): RedisServer | undefined =>
        nodes[seats.findIndex((seat) => seat.id === id)]
      const running = () => nodes.filter((node) => node.state === 'running')

      for (const node of nodes) lifecycle.onClose(() => node.kill())
      await Promise.all(
        seats.map(async (seat, index) => {
          const home = join(folder, String(seat.port))
          await mkdir(home)
          await writeFile(join(home, 'nodes.conf'), nodesFile(seats, seat))
          await nodes[index]?.launch(signal)
        }),
      )
      await introduce(seats, nodes, signal)

      const settled = () =>
        waitUntil('every node finds the cluster whole', () => isWhole(running()), {
          timeout: 30_000,
          signal,
        }).then(() => {})
      await settled()

      const view = async (): Promise<readonly ClusterMember[]> => {
        const [viewer] = running()
        if (!viewer) throw new TestkitError('TESTKIT_ERR_STATE', 'no node of this cluster is running')
        return await viewOf(viewer)
      }
      const primaryOf = async (slotOrKey: number | string): Promise<RedisServer> => {
        const slot = toSlot(slotOrKey)
        const member = (await view()).find((each) => owns(each, slot))
        const node = nodeOf(member?.id)
        if (!node) throw new TestkitError('TESTKIT_ERR_STATE', 'nobody holds this slot')
        return node
      }

      return {
        mode: 'cluster',
        nodes,
        ...groupVerbs({ servers: nodes, homeOf: primaryOf, settled }),
        primaryOf,
        async slots() {
          const members = await view()
          return members
            .flatMap((member) => {
              const primary = nodeOf(member.id)
              if (!primary) return []
              const followers = members
                .filter((each) => each.primary === member.id)
                .flatMap((each) => nodeOf(each.id) ?? [])
              return member.slots.map((range) => ({ ...range, primary, replicas: followers }))
            })
            .sort((a, b) => a.first - b.first)
        },
        async migrateSlot(slotOrKey, to, migrateOptions) {
          const slot = toSlot(slotOrKey)
          const from = await primaryOf(slot)
          const target = nodes.find((node) => node === to)
          const members = await view()
          const member = members.find((each) => nodeOf(each.id) === target)
          if (!target || member?.role !== 'primary') {
            throw new TestkitError(
              'TESTKIT_ERR_STATE',
              'migrateSlot: the target is no primary of this cluster',
            )
          }
          if (target === from) return
          const others = members
            .filter((each) => each.role === 'primary')
            .flatMap((each) => nodeOf(each.id) ?? [])
            .filter((node) => node !== from && node !== target && node.state === 'running')
          const idOf = (node: RedisServer) => seats[nodes.indexOf(node)]?.id ?? ''
          await moveSlot({ slot, from, to: target, others, idOf, password: options.password }, migrateOptions)
          await waitUntil(
            'every node sees the slot at its new place',
            async () => {
              const views = await Promise.all(running().map(viewOf))
              return views.every((each) =>
                each.some(
                  ({ id, slots }) =>
                    id === member.id && slots.some(({ first, last }) => first <= slot && slot <= last),
                ),
              )
            },
            { timeout: 10_000, signal },
          )
        },
        async failover({ of = 0, lagging, cause = 'planned' } = {}) {
          const slot = toSlot(of)
          const old = await primaryOf(slot)
          const oldId = seats[nodes.indexOf(old)]?.id
          const others = (await view())
            .filter((member) => member.primary === oldId)
            .flatMap((member) => nodeOf(member.id) ?? [])
            .filter((node) => node.state === 'running')
          const [heir] = others
          if (!heir)
            throw new TestkitError('TESTKIT_ERR_STATE', 'failover: no replica of this shard is running')
          await lag(old, others, lagging)
          if (cause === 'crash') await old.kill()
          // A replica that has not all writes cannot be voted for as planned: it takes over unasked.
          else await heir.command('CLUSTER', 'FAILOVER', ...(lagging ? ['TAKEOVER'] : []))
          const promoted = await waitUntil(
            'every node sees the new primary',
            async () => {
              const views = await Promise.all(running().map(viewOf))
              const owners = new Set(views.map((each) => each.find((member) => owns(member, slot))?.id))
              const [id] = owners
              const node = nodeOf(id)
              return owners.size === 1 && node !== old ? node : undefined
            },
            { timeout: 20_000 + 10 * options.nodeTimeout, signal },
          )
          await Promise.all(others.map((node) => node.restoreReplication()))
          await settled()
          return promoted
        },
        close: () => lifecycle.close(),
        [Symbol.asyncDispose]: () => lifecycle.close(),
      }
    },
  )
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
  const pairs = nodes.flatMap((node, index) =>
    seats
      .slice(index + 1)
      .map((other) => node.command('CLUSTER', 'MEET', '127.0.0.1', other.port, other.busPort)),
  )
  await Promise.all(pairs)
}

async function viewOf(node: RedisServer): Promise<readonly ClusterMember[]> {
  return readClusterNodes(String(await node.command('CLUSTER', 'NODES')))
}

async function isWhole(nodes: readonly RedisServer[]): Promise<boolean> {
  const views = await Promise.all(
    nodes.map(async (node) => {
      const [state, members, info] = await Promise.all([
        node.command('CLUSTER', 'INFO'),
        viewOf(node),
        node.info(),
      ])
      if (!String(state).includes('cluster_state:ok')) return undefined
      if (info.get('role') === 'slave' && info.get('master_link_status') !== 'up') return undefined
      if (
        nodes.some(
          (other) => !members.some((member) => member.port === other.port && member.alive && member.linked),
        )
      ) {
        return undefined
      }
      return members
        .map(({ id, primary, slots }) => JSON.stringify([id, primary, slots]))
        .sort()
        .join()
    }),
  )
  return views[0] !== undefined && views.every((each) => each === views[0])
}

function toSlot(slotOrKey: number | string): number {
  if (typeof slotOrKey === 'string') return slotOf(slotOrKey)
  if (Number.isInteger(slotOrKey) && slotOrKey >= 0 && slotOrKey < SLOTS) return slotOrKey
  throw new TestkitError('TESTKIT_ERR_OPTIONS', `a slot is a whole number between 0 and ${SLOTS - 1}`)
}
