import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Lifecycle } from '@cays/core/lifecycle'
import { TestkitError } from './errors.ts'
import { superviseFolder } from './guardian.ts'
import { mustLocate, type Program } from './locate.ts'
import { freePorts } from './ports.ts'
import { PortTaken } from './redis-process.ts'

const REDIS: Program = {
  title: 'Redis',
  names: ['redis-server', 'valkey-server'],
  variable: 'REDIS_SERVER',
  folders: ['/usr/bin', '/usr/local/bin', '/opt/homebrew/bin', '/usr/local/opt/valkey/bin'],
  install: {
    debian: 'apt-get install -y --no-install-recommends redis-server',
    mac: 'brew install redis',
  },
}

const ATTEMPTS = 5

/** What a set-up stands on: the program, a folder of its own, ports, and the end of it all. */
export interface RedisGround {
  readonly program: string
  readonly folder: string
  /** As many as were asked for, different, free a moment ago. */
  readonly ports: readonly number[]
  /** Register here what ends each process. */
  readonly lifecycle: Lifecycle
}

/**
 * Prepares the ground and builds on it; again with other ports when somebody took one in between. Whatever was
 * begun is ended when building fails.
 */
export async function onFreshGround<T>(
  ports: number,
  build: (ground: RedisGround) => Promise<T>,
): Promise<T> {
  const program = mustLocate(REDIS)
  for (let attempt = 1; ; attempt++) {
    const lifecycle = new Lifecycle({
      closed: () => new TestkitError('TESTKIT_ERR_CLOSED', 'this Redis was closed: start another'),
    })
    try {
      const folder = await mkdtemp(join(tmpdir(), 'cays-redis-'))
      const supervised = superviseFolder(folder)
      lifecycle.onClose(async () => {
        await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 })
        supervised[Symbol.dispose]()
      })
      return await build({ program, folder, ports: await freePorts(ports), lifecycle })
    } catch (error) {
      await lifecycle.close()
      if (error instanceof PortTaken && attempt < ATTEMPTS) continue
      throw error instanceof PortTaken
        ? new TestkitError(
            'TESTKIT_ERR_START_FAILED',
            `ports were taken by others ${ATTEMPTS} times in a row`,
          )
        : error
    }
  }
}
