import { describe, expect, it } from 'vitest'
import { clusterSeats, nodesFile, PLACEHOLDER } from '../../src/redis-cluster-layout.ts'
import { readClusterNodes } from '../../src/redis-cluster-view.ts'

const ports = Array.from({ length: 12 }, (_, index) => 20_000 + index)
const seats = clusterSeats(3, 1, ports)

describe('the layout of a cluster', () => {
  it('seats the primaries first, each replica in the shard of its primary', () => {
    expect(seats.map(({ port, busPort, shard, replica }) => [port, busPort, shard, replica])).toEqual([
      [20_000, 20_006, 0, 0],
      [20_001, 20_007, 1, 0],
      [20_002, 20_008, 2, 0],
      [20_003, 20_009, 0, 1],
      [20_004, 20_010, 1, 1],
      [20_005, 20_011, 2, 1],
    ])
    expect(new Set(seats.map(({ id }) => id)).size).toBe(6)
  })

  it.each(seats.map((seat) => [seat.port, seat] as const))(
    'has every slot held in the eyes of node %i',
    (_, self) => {
      const file = nodesFile(seats, self)
      const members = readClusterNodes(file.slice(0, file.indexOf('vars ')))
      const slots = members.flatMap((member) => member.slots).sort((a, b) => a.first - b.first)
      expect(slots.map(({ first, last }) => last - first + 1).reduce((sum, size) => sum + size)).toBe(16_384)
      const own = members.find(({ id }) => id === self.id)
      expect(own?.role).toBe('replica')
      expect(own?.primary).toBe(self.replica === 0 ? PLACEHOLDER : seats[self.shard]?.id)
    },
  )
})
