import type { Server } from './server.ts'

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
  return cost(two) < cost(one) ? two : one
}

/** Expected wait: what is under way, each taking as long as statements took lately. */
function cost(server: Server): number {
  return ((server.inFlight + 1) * (server.latency + 0.05)) / server.weight
}
