import { hashSlot, isNoScript } from '@cays/core/redis-script'
import type { RedisClient } from './redis-client.ts'
import { NODE } from './redis-scripts.ts'

/** Positions in `keys`, together where one pipeline of a Cluster may carry them: by the nodes of their slots. */
export function groupByNode(client: RedisClient, keys: readonly string[]): readonly (readonly number[])[] {
  const groups = new Map<string, number[]>()
  for (const [position, key] of keys.entries()) {
    const slot = hashSlot(key)
    const nodes = client.slots?.[slot]?.join() ?? `slot ${slot}`
    const group = groups.get(nodes)
    if (group) group.push(position)
    else groups.set(nodes, [position])
  }
  return [...groups.values()]
}

/** What a node said: its clock, and a value per key; `undefined` for a key that has to be asked for elsewhere. */
export interface NodeReads {
  readonly now: number
  readonly values: readonly (string | undefined)[]
}

/**
 * Reads keys of one server in one round trip. On a Cluster no script may touch keys of several slots, and anywhere
 * a script is slow at it: so plain reads go ahead, and a script on the same connection then tells which run of the
 * server has answered. Were that another one, of a server that restarted in between, the values would not count.
 */
export async function readOfNode(
  client: RedisClient,
  keys: readonly string[],
  epoch: string,
): Promise<NodeReads> {
  let replies = await exec(client, keys, ['evalsha', NODE.sha, 0])
  if (isNoScript(replies.at(-1)?.[0])) replies = await exec(client, keys, ['eval', NODE.lua, 0])
  const [error, state] = replies.pop() ?? [new Error('the pipeline gave no answer'), undefined]
  if (error) throw error
  const [now, run] = state as [number, string]
  const mark = `${run}${epoch}|`
  const counts = (value: unknown) => (typeof value === 'string' && value.startsWith(mark, 14) ? value : '')
  if (client.isCluster) {
    // The first answer is that of the script, which is there to keep replicas out of it.
    return { now, values: replies.slice(1).map(([failed, value]) => (failed ? undefined : counts(value))) }
  }
  const [failed, values] = replies[0] ?? []
  if (failed) throw failed
  return { now, values: (values as readonly unknown[]).map(counts) }
}

type Reply = readonly [error: Error | null, result: unknown]

async function exec(client: RedisClient, keys: readonly string[], script: unknown[]): Promise<Reply[]> {
  const commands = client.isCluster
    ? [script, ...keys.map((key) => ['get', key]), script]
    : [['mget', ...keys], script]
  return [...((await client.pipeline(commands).exec()) ?? [])]
}
