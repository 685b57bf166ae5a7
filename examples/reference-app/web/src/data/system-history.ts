import type { DatabaseStatus, NodeStatus, RequestTrace, SystemStatus } from '../../../contract/status.ts'

/** How many samples, one a second, the charts show. */
const KEPT = 120
const EVENTS_KEPT = 12

/** One second of the system, as rates where the nodes count totals. */
export interface Sample {
  /** Seconds since the epoch. */
  readonly at: number
  readonly lag: Readonly<Record<string, number | null>>
  readonly sockets: Readonly<Record<string, number>>
  readonly cache: NodeStatus['cache']
  readonly limiter: NodeStatus['limiter']
}

export interface SystemEvent {
  readonly id: number
  readonly at: string
  readonly text: string
  readonly tone: 'good' | 'bad' | 'plain'
}

/** A node the page knows; `away` when the others cannot reach it any more. */
export interface KnownNode {
  readonly name: string
  readonly state: 'ready' | 'draining' | 'away'
  readonly status: NodeStatus
  /** Seconds in a row that it was missing from the answers. */
  readonly missed: number
}

/** What the page has seen since it was opened. Immutable: each status makes the next one. */
export interface SystemHistory {
  readonly nodes: readonly KnownNode[]
  readonly databases: readonly DatabaseStatus[]
  readonly redis: 'up' | 'down' | 'none'
  readonly bucket: 'up' | 'down'
  readonly samples: readonly Sample[]
  readonly events: readonly SystemEvent[]
  /** The newest first. */
  readonly recent: readonly RequestTrace[]
  /** Those of `recent` that the status before did not have, the oldest first. */
  readonly fresh: readonly RequestTrace[]
  readonly seen: number
  readonly failed: number
}

export const NO_HISTORY: SystemHistory = {
  nodes: [],
  databases: [],
  redis: 'none',
  bucket: 'up',
  samples: [],
  events: [],
  recent: [],
  fresh: [],
  seen: 0,
  failed: 0,
}

export function withStatus(before: SystemHistory, status: SystemStatus): SystemHistory {
  const first = before.nodes.length === 0
  const nodes = knownNodes(before, status)
  const present = status.nodes
  const databases = mergeDatabases(before.databases, present)
  const redis = worst(present.map((node) => node.redis)) ?? before.redis
  const bucket = worst(present.map((node) => node.bucket)) ?? before.bucket
  const known = new Set(before.recent.map(({ id }) => id))
  const recent = present
    .flatMap((node) => node.recent)
    .sort((a, b) => (a.at < b.at ? 1 : -1))
    .slice(0, 60)
  const newest = before.recent[0]?.at ?? ''
  // The list of the first status is the past, and what another node forgot and told again is not new.
  const fresh = first
    ? []
    : recent.filter(({ id, at }) => !known.has(id) && at >= newest.slice(0, 19)).reverse()
  const after = { nodes, databases, redis, bucket }
  return {
    ...after,
    samples: [...before.samples, sample(before, status, databases)].slice(-KEPT),
    events: first ? [] : [...changes(before, after, status.at), ...before.events].slice(0, EVENTS_KEPT),
    recent,
    fresh,
    seen: before.seen + fresh.length,
    failed: before.failed + fresh.filter((trace) => trace.status >= 500).length,
  }
}

function knownNodes(before: SystemHistory, status: SystemStatus): KnownNode[] {
  const now = new Map<string, KnownNode>()
  for (const node of before.nodes) {
    // One answer that came too late is no outage.
    const missed = node.missed + 1
    now.set(node.name, { ...node, missed, state: missed > 1 ? 'away' : node.state })
  }
  for (const node of status.nodes) {
    now.set(node.name, { name: node.name, state: node.state, status: node, missed: 0 })
  }
  return [...now.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Nodes see the databases each for itself: the picture shows a server as up when every node says so. */
function mergeDatabases(
  before: readonly DatabaseStatus[],
  nodes: readonly NodeStatus[],
): readonly DatabaseStatus[] {
  const merged = new Map<string, DatabaseStatus>()
  for (const database of nodes.flatMap((node) => node.databases)) {
    const other = merged.get(database.name)
    merged.set(database.name, other ? { ...other, up: other.up && database.up } : database)
  }
  if (merged.size === 0) return before
  return [...merged.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

function worst<State extends string>(states: readonly State[]): State | undefined {
  return states.find((state) => state === 'down') ?? states[0]
}

function sample(before: SystemHistory, status: SystemStatus, databases: readonly DatabaseStatus[]): Sample {
  const cache = { l1: 0, l2: 0, load: 0, stale: 0 }
  const limiter = { allowed: 0, denied: 0 }
  for (const node of status.nodes) {
    const earlier = before.nodes.find(({ name }) => name === node.name)?.status
    // A node that restarted counts from zero again; a node just seen has no rate yet.
    const restarted = earlier && earlier.startedAt !== node.startedAt
    const since = (now: number, then: number | undefined) =>
      then === undefined ? 0 : restarted ? now : Math.max(0, now - then)
    for (const tier of ['l1', 'l2', 'load', 'stale'] as const)
      cache[tier] += since(node.cache[tier], earlier?.cache[tier])
    for (const decision of ['allowed', 'denied'] as const)
      limiter[decision] += since(node.limiter[decision], earlier?.limiter[decision])
  }
  return {
    at: Date.parse(status.at) / 1_000,
    lag: Object.fromEntries(
      databases
        .filter(({ role }) => role === 'replica')
        .map(({ name, up, lagMilliseconds }) => [name, up ? lagMilliseconds : null]),
    ),
    sockets: Object.fromEntries(status.nodes.map((node) => [node.name, node.sockets])),
    cache,
    limiter,
  }
}

/** What a visitor can and cannot do while something is away, a sentence for each thing; empty when all is well. */
export function effects({ nodes, databases, redis, bucket }: SystemHistory): readonly string[] {
  const primary = databases.find(({ role }) => role === 'primary')
  const replicas = databases.filter(({ role }) => role === 'replica')
  const down = replicas.filter(({ up }) => !up)
  const late = replicas.filter(({ up, lagMilliseconds }) => up && (lagMilliseconds ?? 0) > 1_000)
  const away = nodes.filter(({ state }) => state !== 'ready')
  return [
    ...(primary?.up === false
      ? ['The primary database is away: you can search and read, but not post, apply or sign up.']
      : []),
    ...(down.length > 0
      ? [
          `${list(down)} ${down.length === 1 ? 'does' : 'do'} not answer: everything works, reads go to the other databases.`,
        ]
      : []),
    ...(late.length > 0
      ? [
          `${list(late)} ${late.length === 1 ? 'is' : 'are'} late: you see your own changes at once, other people’s a few seconds later.`,
        ]
      : []),
    ...(redis === 'down'
      ? [
          'Redis is away: you can search, read and stay signed in where you were seen; new sign-ins and live messages wait.',
        ]
      : []),
    ...(bucket === 'down'
      ? ['The bucket is away: résumés cannot be sent or opened; everything else works.']
      : []),
    ...(away.length > 0
      ? [`${list(away)} ${away.length === 1 ? 'takes' : 'take'} no requests: everything works on the others.`]
      : []),
  ]
}

function list(things: readonly { readonly name: string }[]): string {
  return things.map(({ name }) => name).join(' and ')
}

let nextEvent = 1

function changes(
  before: SystemHistory,
  after: Pick<SystemHistory, 'nodes' | 'databases' | 'redis' | 'bucket'>,
  at: string,
): SystemEvent[] {
  const events: SystemEvent[] = []
  const say = (tone: SystemEvent['tone'], text: string) => events.push({ id: nextEvent++, at, text, tone })
  for (const node of after.nodes) {
    const was = before.nodes.find(({ name }) => name === node.name)
    // A quick restart can lie between two looks.
    const same = was?.state === node.state && was.status.startedAt === node.status.startedAt
    if (!was || same) continue
    if (node.state === 'draining')
      say('plain', `${node.name} drains: it finishes what it has and takes nothing new.`)
    else if (node.state === 'away') say('bad', `${node.name} is away. The others take its requests.`)
    else say('good', `${node.name} is back and takes requests.`)
  }
  for (const database of after.databases) {
    const was = before.databases.find(({ name }) => name === database.name)
    if (!was) continue
    if (was.up && !database.up) say('bad', `${database.name} does not answer. Reads go elsewhere.`)
    if (!was.up && database.up) say('good', `${database.name} answers again.`)
    if (was.role !== database.role && database.role === 'primary')
      say('plain', `${database.name} is the primary now.`)
    const [late, wasLate] = [database, was].map(({ lagMilliseconds }) => (lagMilliseconds ?? 0) > 1_000)
    if (database.up && late && !wasLate) say('bad', `${database.name} is more than a second behind.`)
    if (database.up && !late && wasLate) say('good', `${database.name} has caught up.`)
  }
  if (before.redis !== after.redis) {
    if (after.redis === 'down') say('bad', 'Redis is away. Memory, databases and local limits carry on.')
    if (after.redis === 'up') say('good', 'Redis is back.')
  }
  if (before.bucket !== after.bucket) {
    say(
      after.bucket === 'up' ? 'good' : 'bad',
      after.bucket === 'up' ? 'The bucket is back.' : 'The bucket is away.',
    )
  }
  return events.reverse()
}
