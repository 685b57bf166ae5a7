import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { createStorage, r2 } from '@cays/storage'
import { type R2Server, type StandaloneRedis, startPostgres, startR2, startRedis } from '@cays/testkit'
import pg from 'pg'
import { RESUME_TYPE } from '../../contract/application.ts'
import { createPasswords } from '../auth/passwords.ts'
import { migrate } from '../database/migrate.ts'
import { type SeedSize, seed } from '../database/seed.ts'
import { seededResumes } from '../database/seed-applications.ts'
import { type DemoControl, startDemoControl } from './demo-control.ts'
import { type Gateway, startGateway } from './gateway.ts'
import { bundleNode } from './node-bundle.ts'
import { type NodeProcess, nodeProcess, portsFor } from './node-process.ts'
import { resumePdf } from './resume-pdf.ts'

export const DEMO_PASSWORD = 'harbour-lights'
const BUCKET = 'harbour-private'

export interface StackOptions {
  /** Port of the one URL; 0 for a free one. @default 0 */
  readonly port?: number
  /** @default 'tiny' */
  readonly size?: SeedSize
  /** `start`: the machine's own server; `none`: one node on memory stores; else the URL of one that runs. @default 'start' */
  readonly redis?: 'start' | 'none' | (string & {})
  /** The pages being built, when they are: nodes start once they are there. */
  readonly pages?: Promise<unknown>
  readonly logLevel?: string
  readonly onProgress?: (step: string) => void
  readonly onLog?: (line: string) => void
}

/** The whole system on this machine: what `npm start` runs and what the browser tests use. */
export interface Stack extends AsyncDisposable {
  readonly url: string
  readonly postgres: Awaited<ReturnType<typeof startPostgres>>
  /** `undefined` when Redis was given or is not used. */
  readonly redis: StandaloneRedis | undefined
  readonly r2: R2Server
  readonly nodes: readonly NodeProcess[]
  close(): Promise<void>
}

export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const { port = 0, size = 'tiny', redis: wanted = 'start', logLevel = 'warn' } = options
  const { onProgress = () => {}, onLog = () => {} } = options
  const closers: (() => Promise<unknown>)[] = []
  const close = async () => {
    // Last started, first closed; one that fails must not keep the others alive.
    for (const closer of closers.splice(0).reverse())
      await closer().catch((error: unknown) => onLog(String(error)))
  }
  try {
    onProgress('Starting Postgres with two replicas, Redis and the bucket')
    const [postgres, redis, gateway, program] = await Promise.all([
      keep(startPostgres({ replicas: 2 }), closers),
      wanted === 'start' ? keep(startRedis(), closers) : undefined,
      keep(startGateway([], port), closers),
      bundleNode(),
      options.pages,
    ])
    closers.push(() => rm(program, { force: true }))
    const bucket = await keep(startBucket(gateway), closers)

    onProgress(`Creating the schema and ${size === 'tiny' ? 'a few' : 'ten thousand'} jobs`)
    await fill(postgres.primary.url, size, bucket)

    const redisUrl = redis?.url ?? (wanted === 'none' ? undefined : wanted)
    const secret = randomBytes(32).toString('base64url')
    const count = redisUrl ? 2 : 1
    const ports = await portsFor(count)
    const control: DemoControl = await startDemoControl(secret)
    closers.push(() => control.close())
    const nodes = ports.map((nodePort, index) =>
      nodeProcess({
        name: `node-${index + 1}`,
        port: nodePort,
        program,
        onLog,
        environment: {
          APP_ORIGINS: originsOf(gateway).join(','),
          APP_SECRET: secret,
          DATABASE_URL: postgres.primary.url,
          REPLICA_URLS: postgres.replicas.map((replica) => replica.url).join(','),
          ...(redisUrl ? { REDIS_URL: redisUrl } : {}),
          R2_ACCOUNT_ID: bucket.accountId,
          S3_ENDPOINT: bucket.url,
          S3_BUCKET: BUCKET,
          S3_ACCESS_KEY_ID: bucket.accessKeyId,
          S3_SECRET_ACCESS_KEY: bucket.secretAccessKey,
          TRUSTED_PROXIES: '1',
          // The gateway asks every 100 ms: after this it has noticed.
          DRAIN_NOTICE: '500',
          PEERS: ports
            .filter((other) => other !== nodePort)
            .map((other) => `http://127.0.0.1:${other}`)
            .join(','),
          DEMO_CONTROL_URL: control.url,
          LOG_LEVEL: logLevel,
        },
      }),
    )
    onProgress(count === 2 ? 'Starting two app nodes behind one URL' : 'Starting one app node')
    closers.push(async () => void (await Promise.all(nodes.map((node) => node.stop()))))
    await Promise.all(nodes.map((node) => node.start()))
    await gateway.setTargets(nodes)
    control.connect({ postgres, redis, nodes })
    return { url: gateway.url, postgres, redis, r2: bucket, nodes, close, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}

async function keep<T extends { close(): Promise<unknown> }>(
  starting: Promise<T>,
  closers: (() => Promise<unknown>)[],
): Promise<T> {
  const started = await starting
  closers.push(() => started.close())
  return started
}

function originsOf(gateway: Gateway): string[] {
  return [`http://localhost:${gateway.port}`, `http://127.0.0.1:${gateway.port}`]
}

/** The bucket takes uploads from the app's own pages and from nowhere else. */
function startBucket(gateway: Gateway): Promise<R2Server> {
  return startR2({
    buckets: [BUCKET],
    cors: [
      {
        AllowedOrigins: originsOf(gateway),
        AllowedMethods: ['GET', 'HEAD', 'PUT'],
        AllowedHeaders: ['*'],
        ExposeHeaders: ['ETag'],
        MaxAgeSeconds: 3_600,
      },
    ],
  })
}

async function fill(url: string, size: SeedSize, server: R2Server): Promise<void> {
  const pool = new pg.Pool({ connectionString: url, max: 2 })
  const { accountId, url: endpoint, accessKeyId, secretAccessKey } = server
  const credentials = { accessKeyId, secretAccessKey }
  const storage = createStorage({
    buckets: { private: r2({ accountId, bucket: BUCKET, endpoint, credentials }) },
  })
  try {
    await migrate(pool)
    await seed(pool, { size, passwordHash: await createPasswords().hash(DEMO_PASSWORD), now: new Date() })
    const bucket = storage.bucket('private')
    for (const { key, name, note } of await seededResumes(pool)) {
      const page = resumePdf([name, '', note, '', 'A made-up resume of the demo.'])
      await bucket.put(key, page, { contentType: RESUME_TYPE })
    }
  } finally {
    await storage.close()
    await pool.end()
  }
}
