/** How one node sees one member of its cluster: a line of `CLUSTER NODES`. */
export interface ClusterMember {
  readonly id: string
  readonly port: number
  readonly role: 'primary' | 'replica'
  /** False when the viewer holds it for dead, or for probably dead. */
  readonly alive: boolean
  /** The viewer has a connection to it. */
  readonly linked: boolean
  /** Of a replica: the id of its primary. */
  readonly primary: string | undefined
  readonly slots: readonly { readonly first: number; readonly last: number }[]
}

/** Reads the reply of `CLUSTER NODES`. */
export function readClusterNodes(text: string): readonly ClusterMember[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [id = '', address = '', flags = '', primary = '-', , , , link, ...ranges] = line.split(' ')
      return {
        id,
        port: Number(/:(\d+)@/.exec(address)?.[1] ?? 0),
        role: flags.includes('master') ? 'primary' : 'replica',
        alive: !/fail|noaddr|handshake/.test(flags),
        linked: flags.includes('myself') || link === 'connected',
        primary: primary === '-' ? undefined : primary,
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
