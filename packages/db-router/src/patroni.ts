import type { Duration } from '@cays/core/duration'
import type { Discovery } from './discovery.ts'
import type { ServerOptions } from './options.ts'
import { atAddress, serverUrls } from './server-url.ts'
import { optionReader } from './settings.ts'

/** Where Patroni answers, and how to reach its servers. */
export interface PatroniOptions {
  /** REST API of one or more members, such as `http://10.0.0.1:8008`. They are asked in turn until one answers. */
  readonly endpoints: readonly string[]
  /** User, database and parameters for every server, such as `postgres://app@any/app`; the host does not count. */
  readonly url: string
  /** Sent with each request, such as `authorization`. */
  readonly headers?: Readonly<Record<string, string>>
  /** How long one member may take to answer. @default '2s' */
  readonly timeout?: Duration
  /** @default '30s' */
  readonly interval?: Duration
}

interface Member {
  readonly host?: unknown
  readonly port?: unknown
  readonly role?: unknown
  readonly state?: unknown
  readonly tags?: { readonly noloadbalance?: unknown; readonly zone?: unknown }
}

/** States in which a member answers queries. */
const READY = new Set(['running', 'streaming', 'in archive recovery'])

/**
 * The members of a Patroni cluster, for the `discovery` option. Members that are not running, and replicas with the tag
 * `noloadbalance`, are left out; the tag `zone` is the server's zone. Who is primary is observed, not believed.
 *
 * @example
 * ```ts
 * const db = createRouter({
 *   discovery: patroni({ endpoints: ['http://10.0.0.1:8008', 'http://10.0.0.2:8008'], url: 'postgres://app@any/app' }),
 * })
 * ```
 */
export function patroni(options: PatroniOptions): Discovery {
  const read = optionReader('patroni')
  read.known(options, ['endpoints', 'url', 'headers', 'timeout', 'interval'])
  const { endpoints, headers = {} } = options
  if (!Array.isArray(endpoints) || endpoints.length === 0 || !endpoints.every((one) => URL.canParse(one))) {
    read.fail('endpoints must be a list of URLs such as http://10.0.0.1:8008')
  }
  const [url] = serverUrls(read.string('url', read.required('url', options.url), '')) ?? []
  if (url === undefined) return read.fail('url must be a URL such as postgres://app@any/app')
  const timeout = read.duration('timeout', options.timeout, 2_000, { min: 1 })
  let answered = 0
  return {
    ...(options.interval === undefined ? {} : { interval: options.interval }),
    async find({ signal }) {
      const failures: unknown[] = []
      for (let turn = 0; turn < endpoints.length; turn++) {
        const at = (answered + turn) % endpoints.length
        try {
          const limit = AbortSignal.any([signal, AbortSignal.timeout(timeout)])
          const members = await ask(new URL('/cluster', endpoints[at]), headers, limit)
          answered = at
          return members.flatMap((member) => serverOf(member, url))
        } catch (error) {
          signal.throwIfAborted()
          failures.push(error)
        }
      }
      throw new AggregateError(failures, 'no member of the Patroni cluster answered')
    },
  }
}

async function ask(
  url: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<readonly Member[]> {
  const response = await fetch(url, { headers, signal })
  if (!response.ok) throw new Error(`Patroni answered ${response.status}`)
  const { members } = (await response.json()) as { members?: unknown }
  if (!Array.isArray(members)) throw new Error('Patroni answered without members')
  return members as readonly Member[]
}

function serverOf({ host, port, role, state, tags }: Member, url: string): readonly ServerOptions[] {
  if (typeof host !== 'string' || typeof state !== 'string' || !READY.has(state)) return []
  if (role === 'replica' && tags?.noloadbalance === true) return []
  const at = atAddress(url, host, typeof port === 'number' ? port : undefined)
  return [{ url: at, ...(typeof tags?.zone === 'string' ? { zone: tags.zone } : {}) }]
}
