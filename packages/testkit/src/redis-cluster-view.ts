/** How one node sees one member of its cluster: a line of `CLUSTER NODES`. */
export interface ClusterMember {
  readonly id: string
  readonly port: number
  readonly role: 'primary' | 'replica'
  /** The viewer has a connection to it and does not hold it for dead, nor for probably dead. */
  readonly alive: boolean
  /** Of a replica: the id of its primary. */
  readonly primary: string | undefined
  /** Of its claim to its slots; the newest claim holds. */
  readonly epoch: number
  readonly slots: readonly { readonly first: number; readonly last: number }[]
}

/** Reads the reply of `CLUSTER NODES`. */
export function readClusterNodes(text: string): readonly ClusterMember[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [id = '', address = '', flags = '', primary = '-', , , epoch, link, ...ranges] = line.split(' ')
      return {
        id,
        port: Number(/:(\d+)@/.exec(address)?.[1] ?? 0),
        role: flags.includes('master') ? 'primary' : 'replica',
        alive: !/fail|noaddr|handshake/.test(flags) && (flags.includes('myself') || link === 'connected'),
        primary: primary === '-' ? undefined : primary,
        epoch: Number(epoch),
        // What stands in brackets is a slot on its way to another node; it is listed in its range as well.
        slots: ranges
          .filter((range) => !range.startsWith('['))
          .map((range) => {
            const [first = 0, last = first] = range.split('-').map(Number)
            return { first, last }
          }),
      }
    })
}

export function owns(member: ClusterMember, slot: number): boolean {
  return member.slots.some(({ first, last }) => first <= slot && slot <= last)
}

/** Equal for two views that agree on who holds what and who follows whom. */
export function fingerprint(members: readonly ClusterMember[]): string {
  return members
    .map(({ id, primary, slots }) => JSON.stringify([id, primary, slots]))
    .sort()
    .join()
}
