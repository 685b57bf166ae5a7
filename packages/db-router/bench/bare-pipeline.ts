import type { Writable } from 'node:stream'
import { Client, type QueryResult } from 'pg'

/**
 * The least that pipelining takes, with one write for what is sent in one turn: no routing, no errors, no limits.
 * What it gives is what can be had of `pg`.
 */
export async function barePipeline(connectionString: string, connections: number) {
  const lanes = await Promise.all(
    Array.from({ length: connections }, async () => {
      const client = new Client({ connectionString, pipeline: true })
      await client.connect()
      return { client, underWay: 0 }
    }),
  )
  return {
    async query(text: string, values: unknown[]): Promise<QueryResult> {
      let least = lanes[0] as (typeof lanes)[0]
      for (const lane of lanes) if (lane.underWay < least.underWay) least = lane
      const stream = least.client.connection.stream as Writable
      if (stream.writableCorked === 0) {
        stream.cork()
        process.nextTick(() => stream.uncork())
      }
      least.underWay++
      try {
        return await least.client.query(text, values)
      } finally {
        least.underWay--
      }
    },
    end: () => Promise.all(lanes.map(({ client }) => client.end())),
  }
}
