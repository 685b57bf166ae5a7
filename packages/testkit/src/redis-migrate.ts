import { TestkitError } from './errors.ts'
import type { ClusterMap } from './redis-cluster-map.ts'
import { type RedisArgument, redisPipeline, textOf } from './redis-command.ts'
import type { RedisServer } from './redis-server.ts'
import { waitUntil } from './redis-wait.ts'

/** How a slot moves. */
export interface MigrateSlotOptions {
  /**
   * Runs while the slot is open at both ends and half of its keys, rounded down, have moved: clients are
   * answered ASK for those, and TRYAGAIN for commands whose keys are at both ends.
   */
  readonly during?: (() => unknown) | undefined
  readonly signal?: AbortSignal | undefined
}

interface SlotMove {
  readonly slot: number
  readonly from: RedisServer
  readonly to: RedisServer
}

const BATCH = 100

/**
 * The steps of Redis' own resharding: open the slot at both ends, move the keys, close it at the target first,
 * then everywhere. When `during` throws, the move is finished all the same, if it can be.
 */
export async function migrateSlot(
  map: ClusterMap,
  { slot, from, to }: SlotMove,
  { during, signal }: MigrateSlotOptions,
): Promise<void> {
  const target = (await map.view()).find((member) => member.id === map.idOf(to))
  if (target?.role !== 'primary') {
    throw new TestkitError('TESTKIT_ERR_STATE', 'migrateSlot: the target is no primary of this cluster')
  }
  await to.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', map.idOf(from))
  await from.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', map.idOf(to))
  if (during) {
    try {
      await moveKeys(
        { slot, from, to },
        Math.floor(Number(await from.command('CLUSTER', 'COUNTKEYSINSLOT', slot)) / 2),
      )
      await during()
    } catch (error) {
      await finish(map, { slot, from, to }).catch(() => {})
      throw error
    }
  }
  await finish(map, { slot, from, to }, signal)
  await waitUntil(
    'every node sees the slot at its new place',
    async () => (await map.agreedPrimaryOf(slot)) === to,
    {
      timeout: 10_000,
      signal,
    },
  )
}

async function finish(map: ClusterMap, move: SlotMove, signal?: AbortSignal): Promise<void> {
  while ((await moveKeys(move, BATCH)) > 0) signal?.throwIfAborted()
  const primaries = (await map.view())
    .filter((member) => member.role === 'primary')
    .flatMap((member) => map.nodeOf(member.id) ?? [])
    .filter((node) => node.state === 'running' && node !== move.to && node !== move.from)
  for (const node of [move.to, move.from, ...primaries]) {
    await node.command('CLUSTER', 'SETSLOT', move.slot, 'NODE', map.idOf(move.to))
  }
}

// Resolves to how many there were. Keys may hold any bytes.
async function moveKeys({ slot, from, to }: SlotMove, count: number): Promise<number> {
  if (count === 0) return 0
  const [reply = null] = await redisPipeline(from.target, [['CLUSTER', 'GETKEYSINSLOT', slot, count]])
  const keys = Array.isArray(reply) ? reply.filter((key) => Buffer.isBuffer(key)) : []
  if (keys.length === 0) return 0
  const login: readonly RedisArgument[] = to.target.password ? ['AUTH', to.target.password] : []
  const migrate = ['MIGRATE', to.host, to.port, '', 0, 5_000, 'REPLACE', ...login, 'KEYS', ...keys]
  const [moved = null] = await redisPipeline(from.target, [migrate], { timeout: 10_000 })
  textOf(moved)
  return keys.length
}
