import { TestkitError } from './errors.ts'
import type { ClusterSeat } from './redis-cluster-layout.ts'
import { type ClusterMember, fingerprint, owns, readClusterNodes } from './redis-cluster-view.ts'
import type { RedisServer } from './redis-server.ts'
import { SLOTS, slotOf } from './redis-slot.ts'

/** The nodes of a cluster and what they say about each other at the moment. */
export class ClusterMap {
  readonly nodes: readonly RedisServer[]
  readonly #seats: readonly ClusterSeat[]

  /** Node and seat of the same index belong together. */
  constructor(nodes: readonly RedisServer[], seats: readonly ClusterSeat[]) {
    this.nodes = nodes
    this.#seats = seats
  }

  get running(): readonly RedisServer[] {
    return this.nodes.filter((node) => node.state === 'running')
  }

  nodeOf(id: string | undefined): RedisServer | undefined {
    return this.nodes[this.#seats.findIndex((seat) => seat.id === id)]
  }

  idOf(node: RedisServer): string {
    return this.#seats[this.nodes.indexOf(node)]?.id ?? ''
  }

  /** The members as that node sees them which knows of the newest change. */
  async view(): Promise<readonly ClusterMember[]> {
    const views = await this.#views()
    const newest = (members: readonly ClusterMember[]) => Math.max(...members.map(({ epoch }) => epoch))
    const [best] = [...views].sort((a, b) => newest(b) - newest(a))
    if (!best) throw new TestkitError('TESTKIT_ERR_STATE', 'no node of this cluster is running')
    return best
  }

  async primaryOf(slotOrKey: number | string): Promise<RedisServer> {
    const slot = toSlot(slotOrKey)
    const node = this.nodeOf((await this.view()).find((member) => owns(member, slot))?.id)
    if (!node) throw new TestkitError('TESTKIT_ERR_STATE', 'nobody holds this slot')
    return node
  }

  /** The running replicas of a node. */
  async replicasOf(node: RedisServer): Promise<readonly RedisServer[]> {
    const id = this.idOf(node)
    return (await this.view())
      .filter((member) => member.primary === id)
      .flatMap((member) => this.nodeOf(member.id) ?? [])
      .filter((replica) => replica.state === 'running')
  }

  /** The one node that all running ones name as the holder of the slot. */
  async agreedPrimaryOf(slot: number): Promise<RedisServer | undefined> {
    const views = await this.#views()
    const holders = new Set(views.map((members) => members.find((member) => owns(member, slot))?.id))
    return holders.size === 1 ? this.nodeOf([...holders][0]) : undefined
  }

  /** Whether every running node reaches every other, finds all slots served, follows its primary, and all agree. */
  async isWhole(): Promise<boolean> {
    const { running } = this
    const prints = await Promise.all(
      running.map(async (node) => {
        const [state, members, info] = await Promise.all([
          node.command('CLUSTER', 'INFO'),
          viewOf(node),
          node.info(),
        ])
        const reached = members.filter((member) => member.alive).map((member) => member.port)
        const serves = String(state).includes('cluster_state:ok')
        const follows = info.get('role') === 'master' || info.get('master_link_status') === 'up'
        const whole = serves && follows && running.every(({ port }) => reached.includes(port))
        return whole ? fingerprint(members) : undefined
      }),
    )
    return prints[0] !== undefined && prints.every((print) => print === prints[0])
  }

  #views(): Promise<readonly (readonly ClusterMember[])[]> {
    return Promise.all(this.running.map(viewOf))
  }
}

async function viewOf(node: RedisServer): Promise<readonly ClusterMember[]> {
  return readClusterNodes(String(await node.command('CLUSTER', 'NODES')))
}

/** The slot that was meant; throws `TESTKIT_ERR_OPTIONS` if there is none of that number. */
export function toSlot(slotOrKey: number | string): number {
  if (typeof slotOrKey === 'string') return slotOf(slotOrKey)
  if (Number.isInteger(slotOrKey) && slotOrKey >= 0 && slotOrKey < SLOTS) return slotOrKey
  throw new TestkitError('TESTKIT_ERR_OPTIONS', `a slot is a whole number between 0 and ${SLOTS - 1}`)
}
