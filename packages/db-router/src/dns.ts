import { promises as system } from 'node:dns'
import type { Duration } from '@cays/core/duration'
import type { Discovery } from './discovery.ts'
import { atAddress, serverUrls } from './server-url.ts'
import { optionReader } from './settings.ts'

/** How names are looked up. */
export interface DnsOptions {
  /** `A`: every IPv4 and IPv6 address of the URL's host, at the URL's port. `SRV`: its targets with their ports. @default 'A' */
  readonly records?: 'A' | 'SRV'
  /** Asks these for SRV records, as `address` or `address:port`, instead of the system's name servers. */
  readonly nameServers?: readonly string[]
  /** @default '30s' */
  readonly interval?: Duration
}

/**
 * Servers by name: one for each address behind the host of `url`, for the `discovery` option. With TLS and addresses
 * name the certificate's host in `pool.ssl.servername`.
 *
 * @example
 * ```ts
 * const db = createRouter({ discovery: dns('postgres://app@_postgresql._tcp.db.internal/app', { records: 'SRV' }) })
 * ```
 */
export function dns(url: string, options: DnsOptions = {}): Discovery {
  const read = optionReader('dns')
  read.known(options, ['records', 'nameServers', 'interval'])
  const [only, ...others] = serverUrls(read.string('url', url, '')) ?? []
  if (only === undefined || others.length > 0) {
    return read.fail('the first argument must be a URL such as postgres://app@db.internal/app')
  }
  const records = read.oneOf('records', options.records, 'A', ['A', 'SRV'])
  const { hostname } = new URL(only)
  const resolver = new system.Resolver({ timeout: 2_000 })
  if (options.nameServers) resolver.setServers(options.nameServers)
  return {
    ...(options.interval === undefined ? {} : { interval: options.interval }),
    async find() {
      if (records === 'A') {
        const addresses = await system.lookup(hostname, { all: true })
        return addresses.map(({ address }) => atAddress(only, address, undefined))
      }
      const targets = await resolver.resolveSrv(hostname)
      return targets.map(({ name, port }) => atAddress(only, name, port))
    },
  }
}
