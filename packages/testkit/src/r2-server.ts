import { createServer, type Server } from 'node:http'
import type { Duration } from '@cays/core/duration'
import { Events, type Listener } from '@cays/core/events'
import { TestkitError } from './errors.ts'
import { freePort } from './ports.ts'
import type { R2Disk } from './r2-disk.ts'
import { handleExchange, type R2Exchange, type R2Service } from './r2-exchange.ts'
import { type R2Fault, R2FaultPlan } from './r2-faults.ts'
import type { R2Identity } from './r2-identity.ts'
import { optionReader, type R2Settings } from './r2-options.ts'
import { R2Store } from './r2-store.ts'
import { WriteLimit } from './r2-write-limit.ts'

/** A running R2 stand-in. */
export interface R2Server extends AsyncDisposable {
  /** Endpoint for S3 clients, e.g. `http://127.0.0.1:4321`; use path style. */
  readonly url: string
  readonly port: number
  readonly region: 'auto'
  readonly accountId: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly dir: string
  /** Seed of the faults' dice, to repeat a run. */
  readonly seed: number

  /** Puts a fault in force until the result is disposed or its `count` is used up. */
  fault(fault: R2Fault): Disposable
  /** Ends all faults. */
  clearFaults(): void
  /** Resets every connection and stops listening; data stays. */
  kill(): Promise<void>
  /** Listens again after `kill()`, on the same port with the same data. */
  start(): Promise<void>
  /** Goes on accepting requests without answering any until `thaw()`. */
  freeze(): void
  /** Answers again, first what waited. */
  thaw(): void
  /** Sets the server's clock off by this, backwards when negative: its dates, and how it judges signatures. */
  skewClock(by: Duration | number): void
  /** Makes an object, and open multipart uploads to its key, look older by this. */
  age(bucket: string, key: string, by: Duration): void
  /** Number of requests under way. */
  readonly pending: number
  /** What a bucket holds: keys of objects, and keys of open multipart uploads. */
  inspect(bucket: string): { readonly objects: readonly string[]; readonly uploads: readonly string[] }
  /** Tells each request once it was answered or its connection ended. */
  on(name: 'request', listener: Listener<R2Exchange>): Disposable
  /** Finishes requests under way for up to 5 s, then stops for good; removes a temporary folder. */
  close(): Promise<void>
}

const HTTP_LIMITS = {
  maxHeaderSize: 32 * 1024,
  headersTimeout: 20_000,
  connectionsCheckingInterval: 5_000,
  // The time of a whole request depends on its size and is watched with it.
  requestTimeout: 0,
  keepAliveTimeout: 30_000,
} as const
const PATIENCE = { base: 120_000, bytesPerSecond: 8 * 1024 }
const IDLE_TIMEOUT = 60_000
const MAX_CONNECTIONS = 2000

/** The server behind `startR2`. */
export class EmulatedR2 implements R2Server {
  readonly region = 'auto'
  readonly accountId: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly dir: string
  readonly seed: number
  readonly #disk: R2Disk
  readonly #store: R2Store
  readonly #identities: ReadonlyMap<string, R2Identity>
  readonly #faults: R2FaultPlan
  readonly #writeLimit: WriteLimit | undefined
  readonly #events = new Events<{ readonly request: R2Exchange }>()
  readonly #removeFolder: () => Promise<void>
  readonly #patience: R2Service['patience']
  readonly #pending = new Set<Promise<void>>()
  #server: Server | undefined
  #port: number | undefined
  #skew = 0
  #frozen: { readonly until: Promise<void>; readonly thaw: () => void } | undefined
  #closing: Promise<void> | undefined

  constructor(
    settings: R2Settings,
    disk: R2Disk,
    removeFolder: () => Promise<void>,
    patience: R2Service['patience'] = PATIENCE,
  ) {
    this.#patience = patience
    const [first] = settings.credentials
    this.accessKeyId = first.accessKeyId
    this.secretAccessKey = first.secretAccessKey
    this.accountId = settings.accountId
    this.seed = settings.seed
    this.dir = disk.root
    this.#port = settings.port
    this.#disk = disk
    this.#removeFolder = removeFolder
    this.#identities = new Map(
      settings.credentials.map(({ accessKeyId, secretAccessKey, permission = 'admin-read-write' }) => [
        accessKeyId,
        { secret: secretAccessKey, permission, grant: undefined },
      ]),
    )
    this.#faults = new R2FaultPlan(settings.seed)
    for (const fault of settings.faults) this.#faults.add(fault)
    this.#writeLimit = settings.limitWrites ? new WriteLimit(() => this.#now()) : undefined
    this.#store = new R2Store(disk, this.#now())
    for (const name of settings.buckets)
      if (!this.#store.has(name)) this.#store.create(name, this.#now(), settings.cors)
  }

  get port(): number {
    return this.#port ?? 0
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get pending(): number {
    return this.#pending.size
  }

  fault(fault: R2Fault): Disposable {
    return this.#faults.add(fault)
  }

  clearFaults(): void {
    this.#faults.clear()
  }

  async kill(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server === undefined) return
    const closed = new Promise<void>((done) => server.close(() => done()))
    server.closeAllConnections()
    await closed
    await Promise.all(this.#pending)
  }

  async start(): Promise<void> {
    if (this.#closing !== undefined)
      throw new TestkitError('TESTKIT_ERR_CLOSED', 'start: this R2 server is closed')
    if (this.#server !== undefined)
      throw new TestkitError('TESTKIT_ERR_STATE', 'start: this R2 server is running')
    for (let attempt = 1; ; attempt += 1) {
      const port = this.#port ?? (await freePort())
      const server = this.#createServer()
      try {
        await new Promise<void>((done, fail) => {
          server.once('error', fail)
          server.listen(port, '127.0.0.1', () => done())
        })
        this.#port = port
        this.#server = server
        return
      } catch (cause) {
        // A port that was free a moment ago can be gone; one that was asked for is not replaced.
        if (this.#port !== undefined || attempt === 5)
          throw new TestkitError(
            'TESTKIT_ERR_START_FAILED',
            'startR2: the port cannot be bound; choose another',
            {
              cause,
            },
          )
      }
    }
  }

  freeze(): void {
    if (this.#frozen !== undefined) return
    let thaw = () => {}
    const until = new Promise<void>((done) => {
      thaw = done
    })
    this.#frozen = { until, thaw }
  }

  thaw(): void {
    this.#frozen?.thaw()
    this.#frozen = undefined
  }

  skewClock(by: Duration | number): void {
    const reader = optionReader('skewClock')
    this.#skew =
      typeof by === 'number' && by < 0 ? -reader.duration('by', -by, 0) : reader.duration('by', by, 0)
  }

  age(bucket: string, key: string, by: Duration): void {
    this.#store
      .bucket(bucket)
      .age(key, optionReader('age').duration('by', by, 0, { max: Number.MAX_SAFE_INTEGER }))
  }

  inspect(bucket: string) {
    return this.#store.bucket(bucket).keys()
  }

  on(name: 'request', listener: Listener<R2Exchange>): Disposable {
    return this.#events.on(name, listener)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.thaw()
    const server = this.#server
    if (server !== undefined) {
      server.close()
      server.closeIdleConnections()
      let timer: NodeJS.Timeout | undefined
      const patience = new Promise<void>((done) => {
        timer = setTimeout(done, 5000)
      })
      await Promise.race([Promise.all(this.#pending), patience])
      clearTimeout(timer)
      await this.kill()
    }
    this.#events.clear()
    this.#disk.release()
    await this.#removeFolder()
  }

  #now(): number {
    return Date.now() + this.#skew
  }

  async #thawed(signal: AbortSignal): Promise<void> {
    if (this.#frozen === undefined) return
    const gone = new Promise<void>((done) => signal.addEventListener('abort', () => done(), { once: true }))
    await Promise.race([this.#frozen.until, gone])
  }

  #createServer(): Server {
    const service: R2Service = {
      store: this.#store,
      identities: this.#identities,
      accountId: this.accountId,
      faults: this.#faults,
      writeLimit: this.#writeLimit,
      now: () => this.#now(),
      patience: this.#patience,
      thawed: (signal) => this.#thawed(signal),
      finished: (exchange) => this.#events.emit('request', exchange),
    }
    const server = createServer(HTTP_LIMITS, (message, response) => {
      const handled = handleExchange(service, message, response)
      this.#pending.add(handled)
      handled.finally(() => this.#pending.delete(handled))
    })
    server.maxConnections = MAX_CONNECTIONS
    server.timeout = IDLE_TIMEOUT
    return server
  }
}
