import { type RedisArgument, redisPipeline, textOf } from './redis-command.ts'
import type { RawReply } from './redis-reply.ts'
import type { RedisServer } from './redis-server.ts'

export interface MigrateSlotOptions {
  /**
   * Runs while the slot is open at both ends and half of its keys, rounded down, have moved: clients are
   * answered ASK for those, and TRYAGAIN for commands whose keys are at both ends.
   */
  readonly during?: (() => unknown) | undefined
}

export interface SlotMove {
  readonly slot: number
  readonly from: RedisServer
  readonly to: RedisServer
  /** The other primaries. */
  readonly others: readonly RedisServer[]
  readonly idOf: (node: RedisServer) => string
  readonly password: string | undefined
}

const BATCH = 100

/** The steps of Redis' own resharding: open the slot at both ends, move the keys, close it at the target first. */
export async function moveSlot(move: SlotMove, { during }: MigrateSlotOptions = {}): Promise<void> {
  const { slot, from, to, others, idOf } = move
  const setSlot = (node: RedisServer, ...words: readonly string[]) =>
    node.command('CLUSTER', 'SETSLOT', slot, ...words)
  await setSlot(to, 'IMPORTING', idOf(from))
  await setSlot(from, 'MIGRATING', idOf(to))
  try {
    if (during) {
      await moveKeys(move, Math.floor(Number(await from.command('CLUSTER', 'COUNTKEYSINSLOT', slot)) / 2))
      await during()
    }
  } finally {
    // Whatever `during` threw, a slot left open would spoil the cluster for what follows.
    while ((await moveKeys(move, BATCH)) > 0);
    await setSlot(to, 'NODE', idOf(to))
    await setSlot(from, 'NODE', idOf(to))
    await Promise.all(others.map((node) => setSlot(node, 'NODE', idOf(to))))
  }
}

async function moveKeys({ slot, from, to, password }: SlotMove, count: number): Promise<number> {
  if (count === 0) return 0
  const source = { host: from.host, port: from.port, password }
  const [keys] = await redisPipeline(source, [['CLUSTER', 'GETKEYSINSLOT', slot, count]])
  const names = binaryKeys(keys)
  if (names.length === 0) return 0
  const login: readonly RedisArgument[] = password ? ['AUTH', password] : []
  const [moved = null] = await redisPipeline(
    source,
    [['MIGRATE', to.host, to.port, '', 0, 5_000, 'REPLACE', ...login, 'KEYS', ...names]],
    { timeout: 10_000 },
  )
  textOf(moved)
  return names.length
}

function binaryKeys(reply: RawReply | undefined): readonly Buffer[] {
  if (!Array.isArray(reply)) {
    textOf(reply ?? null)
    return []
  }
  return reply.filter((key): key is Buffer => Buffer.isBuffer(key))
}
