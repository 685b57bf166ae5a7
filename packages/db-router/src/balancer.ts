import type { Server } from './server.ts'

/** Below this ratio two costs are the same: small differences are noise, and chance spreads better. */
const CLEARLY = 1.5

/**
 * The better of two servers picked at random (Mitzenmacher, "The Power of Two Choices", 2001): nearly as
 * good as comparing all, and no herd runs to the one that looks best at the moment. A server that was down gets its
 * share back by and by. Of `zone`, if some there can take it at once.
 */
export function pickServer(
  servers: readonly Server[],
  zone: string | undefined,
  random: () => number = Math.random,
): Server | undefined {
  if (servers.length <= 1) return servers[0]
  const near = zone === undefined ? servers : inZone(servers, zone)
  const { length } = near
  if (length === 1) return near[0]
  const first = Math.floor(random() * length)
  const second = (first + 1 + Math.floor(random() * (length - 1))) % length
  const one = near[first] as Server
  const two = near[second] as Server
  const now = performance.now()
  const cold = one.warmth(now) < random()
  if (cold !== two.warmth(now) < random()) return cold ? two : one
  return cost(two, now) * CLEARLY < cost(one, now) ? two : one
}

/** Those of the zone with a free connection, or all when there is none. */
function inZone(servers: readonly Server[], zone: string): readonly Server[] {
  const near = servers.filter((server) => server.zone === zone && server.inFlight < server.pool.max)
  return near.length > 0 ? near : servers
}

/** Expected wait: what is under way, each taking as long as statements took lately. */
function cost(server: Server, now: number): number {
  return ((server.inFlight + 1) * (server.expected(now) + 0.05)) / server.weight
}
