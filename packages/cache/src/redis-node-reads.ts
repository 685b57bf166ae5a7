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
 * Reads keys of one Cluster node in one round trip. No script may touch keys of several slots, so a script tells
 * what READ_MANY knows of the server, and plain reads follow on the same connection.
 */
export async function readOfNode(
  client: RedisClient,
  keys: readonly string[],
  epoch: string,
): Promise<NodeReads> {
  const reads = keys.map((key) => ['get', key])
  const exec = async (first: readonly unknown[]) =>
    (await client.pipeline?.([[...first], ...reads])?.exec()) ?? []
  let [state, ...answers] = await exec(['evalsha', NODE.sha, 0])
  if (isNoScript(state?.[0])) [state, ...answers] = await exec(['eval', NODE.lua, 0])
  if (!state || state[0]) throw state?.[0] ?? new Error('the pipeline gave no answer')
  const [now, run] = state[1] as [number, string]
  return {
    now,
    values: answers.map(([error, value]) => {
      if (error) return undefined
      const counts = typeof value === 'string' && value.slice(14, 24) === run && epochOf(value) === epoch
      return counts ? value : ''
    }),
  }
}

function epochOf(value: string): string {
  return value.slice(24, value.indexOf('|', 24))
}
