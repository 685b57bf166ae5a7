import { createHash } from 'node:crypto'
import { slotRanges } from './redis-slot.ts'

/** One future member of a cluster. */
export interface ClusterSeat {
  readonly id: string
  readonly port: number
  readonly busPort: number
  /** The shard, counted from 0; its primary has `replica` 0. */
  readonly shard: number
  readonly replica: number
}

/** Seats for every node: the primaries first, then each round of replicas. Takes two ports for each. */
export function clusterSeats(
  primaries: number,
  replicas: number,
  ports: readonly number[],
): readonly ClusterSeat[] {
  const count = primaries * (1 + replicas)
  return Array.from({ length: count }, (_, index) => {
    const port = ports[index] ?? 0
    return {
      id: createHash('sha1')
        .update(`node ${port} ${ports[count + index]}`)
        .digest('hex'),
      port,
      busPort: ports[count + index] ?? 0,
      shard: index % primaries,
      replica: Math.floor(index / primaries),
    }
  })
}

/** A node that never exists; see {@link nodesFile}. */
export const PLACEHOLDER: string = '0'.repeat(40)

/**
 * The `nodes.conf` with which a node starts, so that a cluster stands in a fraction of a second.
 *
 * A primary that starts refuses writes for two seconds, lest it returns too early from a restart. A replica
 * does not wait. So each primary starts as the replica of a placeholder that owns its slots and has no address,
 * which is a healthy cluster in its own eyes; then it is told to take over, forgets the placeholder and is
 * introduced to the others. Until then the nodes know of each other but not where they are (`noaddr`): nobody
 * hears of a shard without primary. Epochs are spaced so that no two primaries take the same one.
 */
export function nodesFile(seats: readonly ClusterSeat[], self: ClusterSeat): string {
  const primaries = seats.filter((seat) => seat.replica === 0)
  const ranges = slotRanges(primaries.length)
  const lines = seats.map((seat) => {
    const epoch = seat.shard + 1
    const range = ranges[seat.shard]
    const slots = `${range?.first}-${range?.last}`
    const primary = primaries[seat.shard]?.id
    if (seat === self) {
      const line = (of: string | undefined) =>
        `${seat.id} 127.0.0.1:${seat.port}@${seat.busPort} myself,slave ${of} 0 0 ${epoch} connected`
      if (seat.replica > 0) return line(primary)
      return `${PLACEHOLDER} :0@0 master,noaddr - 0 0 ${epoch} disconnected ${slots}\n${line(PLACEHOLDER)}`
    }
    const role = seat.replica > 0 ? `slave,noaddr ${primary}` : 'master,noaddr -'
    return `${seat.id} :0@0 ${role} 0 0 ${epoch} disconnected${seat.replica > 0 ? '' : ` ${slots}`}`
  })
  return `${lines.join('\n')}\nvars currentEpoch ${primaries.length + self.shard} lastVoteEpoch 0\n`
}
