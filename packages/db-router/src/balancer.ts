import type { Server } from './server.ts'

/** Below this ratio two costs are the same: small differences are noise, and chance spreads better. */
const CLEARLY = 1.5

/**
 * The better of two servers picked at random (Mitzenmacher, "The Power of Two Choices", 2001): nearly as
 * good as comparing all, and no herd runs to the one that looks best at the moment.
 */
export function pickServer(
  servers: readonly Server[],
  random: () => number = Math.random,
): Server | undefined {
  const { length } = servers
  if (length <= 1) return servers[0]
  const first = Math.floor(random() * length)
  const second = (first + 1 + Math.floor(random() * (length - 1))) % length
  const one = servers[first] as Server
  const two = servers[second] as Server
  const now = performance.now()
  return cost(two, now) * CLEARLY < cost(one, now) ? two : one
}

/** Expected wait: what is under way, each taking as long as statements took lately. */
function cost(server: Server, now: number): number {
  return ((server.inFlight + 1) * (server.expected(now) + 0.05)) / server.weight
}
