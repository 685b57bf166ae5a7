import { z } from 'zod'

const list = z.string().transform((text) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part.length > 0),
)

const schema = z.object({
  NODE_NAME: z
    .string()
    .regex(/^[\w-]{1,40}$/)
    .default('node-1'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(3000),
  HOST: z.string().default('127.0.0.1'),
  /** Where browsers find the app, e.g. https://harbour.example; several are separated by commas. */
  APP_ORIGINS: list,
  DATABASE_URL: z.url(),
  REPLICA_URLS: list.default([]),
  /** Without it sessions, limits and rooms live in this process: one node only. */
  REDIS_URL: z.url().optional(),
  R2_ACCOUNT_ID: z.string().regex(/^[\w-]{1,64}$/),
  /** Only where the bucket is not Cloudflare's own. */
  S3_ENDPOINT: z.url().optional(),
  S3_BUCKET: z.string().min(3).default('harbour-private'),
  S3_ACCESS_KEY_ID: z.string().min(1),
  S3_SECRET_ACCESS_KEY: z.string().min(1),
  /** Signs bookmarks, upload tickets and socket tokens; the same on every node. */
  APP_SECRET: z.string().min(32, 'must have at least 32 characters'),
  /** How many proxies stand in front: their addresses are believed, no others. */
  TRUSTED_PROXIES: z.coerce.number().int().min(0).max(5).default(0),
  /** Milliseconds between "not ready any more" and the last request. */
  DRAIN_NOTICE: z.coerce.number().int().min(0).max(60_000).default(5_000),
  /** Internal URLs of the other nodes, for the page that shows the whole system. */
  PEERS: list.default([]),
  /** Where the demo's stack takes orders to break things; set by `npm start` alone. */
  DEMO_CONTROL_URL: z.url().optional(),
  LOG_LEVEL: z.enum(['silent', 'error', 'warn', 'info', 'debug']).default('info'),
})

export interface Config {
  readonly name: string
  readonly port: number
  readonly host: string
  readonly origins: readonly string[]
  readonly databaseUrl: string
  readonly replicaUrls: readonly string[]
  readonly redisUrl: string | undefined
  readonly bucket: {
    readonly accountId: string
    readonly endpoint: string
    readonly name: string
    readonly accessKeyId: string
    readonly secretAccessKey: string
  }
  readonly secret: string
  readonly trustedProxies: number
  readonly drainNotice: number
  readonly peers: readonly string[]
  readonly demo: { readonly url: string; readonly secret: string } | undefined
  readonly logLevel: 'silent' | 'error' | 'warn' | 'info' | 'debug'
  /** Cookies travel over TLS alone, except on a machine's own loopback. */
  readonly secureCookies: boolean
}

/** Reads the environment once, at start; the error names every variable that is missing or wrong. */
export function readConfig(environment: NodeJS.ProcessEnv): Config {
  const parsed = schema.safeParse(environment)
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`)
    throw new Error(`the environment is not complete:\n${lines.join('\n')}`)
  }
  const env = parsed.data
  return {
    name: env.NODE_NAME,
    port: env.PORT,
    host: env.HOST,
    origins: env.APP_ORIGINS,
    databaseUrl: env.DATABASE_URL,
    replicaUrls: env.REPLICA_URLS,
    redisUrl: env.REDIS_URL,
    bucket: {
      accountId: env.R2_ACCOUNT_ID,
      endpoint: env.S3_ENDPOINT ?? `https://${env.R2_ACCOUNT_ID}.r2.cloudflarestorage.com`,
      name: env.S3_BUCKET,
      accessKeyId: env.S3_ACCESS_KEY_ID,
      secretAccessKey: env.S3_SECRET_ACCESS_KEY,
    },
    secret: env.APP_SECRET,
    trustedProxies: env.TRUSTED_PROXIES,
    drainNotice: env.DRAIN_NOTICE,
    peers: env.PEERS,
    demo: env.DEMO_CONTROL_URL ? { url: env.DEMO_CONTROL_URL, secret: env.APP_SECRET } : undefined,
    logLevel: env.LOG_LEVEL,
    secureCookies: env.APP_ORIGINS.some((origin) => origin.startsWith('https:')),
  }
}
