import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'

const LOWEST = 12_000

/**
 * A port of 127.0.0.1 on which nothing listens. Nobody holds it for you: bind it soon, and take another when
 * somebody was faster.
 */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1)
  return port as number
}

/**
 * `count` different free ports. They lie below the range from which the system takes the ports of outgoing
 * connections, so that a server can be stopped and started again on its port while clients keep connecting.
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  const highest = firstEphemeralPort() - 1
  const probes: Server[] = []
  try {
    while (probes.length < count) {
      const room = highest - LOWEST
      const wish = room < 1_000 ? 0 : LOWEST + Math.floor(Math.random() * room)
      const probe = await listen(wish)
      if (probe) probes.push(probe)
    }
    return probes.map((probe) => (probe.address() as { port: number }).port)
  } finally {
    await Promise.all(probes.map((probe) => new Promise((resolve) => probe.close(resolve))))
  }
}

function firstEphemeralPort(): number {
  try {
    return Number.parseInt(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'), 10)
  } catch {
    return 32_768
  }
}

function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(undefined)
      else reject(error)
    })
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => resolve(server))
  })
}
