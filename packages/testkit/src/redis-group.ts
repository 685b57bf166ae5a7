import type { RedisServer } from './redis-server.ts'
import type { RedisClientType, RedisRestartOptions, RedisSettings, RedisVerbs } from './redis-verbs.ts'

export interface RedisGroup {
  readonly servers: readonly RedisServer[]
  /** The server that takes the writes of a key. */
  readonly homeOf: (key: string) => Promise<RedisServer>
  /** Resolves when the group as a whole serves again. */
  readonly settled: () => Promise<void>
}

/** What groups of servers have beyond the verbs. */
export interface RedisGroupVerbs extends RedisVerbs {
  /**
   * Resolves when all running servers form a group that serves: every slot or the set-up has a primary, every
   * replica follows one, and all agree who. `start`, `restart`, `thaw` and `failover` of the group wait for it;
   * verbs of single nodes do not.
   */
  settled(): Promise<void>
}

/** The verbs of one server, done to all of a group at once. */
export function groupVerbs({ servers, homeOf, settled }: RedisGroup): RedisGroupVerbs {
  const those = (state: RedisServer['state']) => servers.filter((server) => server.state === state)
  const running = () => those('running')
  const all = async (act: (server: RedisServer) => Promise<void>, of = servers) => {
    await Promise.all(of.map(act))
  }
  return {
    settled,
    kill: () => all((server) => server.kill()),
    stop: () => all((server) => server.stop()),
    async start() {
      await all((server) => server.start(), those('down'))
      await settled()
    },
    async restart(options?: RedisRestartOptions) {
      await all((server) => server.restart(options))
      await settled()
    },
    freeze: () => all((server) => server.freeze(), running()),
    async thaw() {
      await all((server) => server.thaw(), those('frozen'))
      await settled()
    },
    flushScripts: () => all((server) => server.flushScripts(), running()),
    async killClients(type?: RedisClientType) {
      return sum(await Promise.all(running().map((server) => server.killClients(type))))
    },
    async evict(keys: string | readonly string[]) {
      const homes = new Map<RedisServer, string[]>()
      for (const key of [keys].flat()) {
        const home = await homeOf(key)
        homes.set(home, [...(homes.get(home) ?? []), key])
      }
      return sum(await Promise.all([...homes].map(([home, own]) => home.evict(own))))
    },
    config: (settings: RedisSettings) => all((server) => server.config(settings)),
    acl: (user: string, ...rules: readonly string[]) => all((server) => server.acl(user, ...rules)),
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
