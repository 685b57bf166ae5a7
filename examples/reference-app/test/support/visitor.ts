import { randomBytes, randomUUID } from 'node:crypto'
import type { Account, Role } from '../../contract/account.ts'
import type { MyApplication } from '../../contract/application.ts'
import type { Job } from '../../contract/job.ts'

interface RequestOptions {
  readonly body?: unknown
  readonly raw?: string
  readonly headers?: Record<string, string>
  readonly hasty?: boolean
}

/** One browser's worth of cookies, talking to one URL as a page of it would. */
export class Visitor {
  readonly url: string
  readonly #cookies = new Map<string, string>()

  constructor(url: string) {
    this.url = url
  }

  /**
   * One request, as a polite client sends it: told to wait a moment, it waits and asks again. All visitors of a
   * test share one address and so one budget. `hasty` takes the first answer.
   */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
    for (;;) {
      const answer = await this.#send(method, path, options)
      const wait = Number(answer.headers.get('retry-after'))
      if (answer.status !== 429 || options.hasty || wait > 3) return answer
      await answer.arrayBuffer()
      await new Promise((resolve) => setTimeout(resolve, wait * 1_000))
    }
  }

  async #send(method: string, path: string, options: RequestOptions): Promise<Response> {
    const body = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body))
    const answer = await fetch(`${this.url}${path}`, {
      method,
      ...(body === undefined ? {} : { body }),
      redirect: 'manual',
      headers: {
        origin: this.url,
        cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers,
      },
    })
    for (const cookie of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
      if (name !== undefined) this.#cookies.set(name, value ?? '')
    }
    return answer
  }

  /** The answer's body; throws unless it is a success. */
  async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await this.request(method, `/api/v1${path}`, body === undefined ? {} : { body })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${text}`)
    return (text === '' ? undefined : JSON.parse(text)) as T
  }

  get session(): string {
    return this.#cookies.get('harbour_session') ?? ''
  }

  async signUp(role: Role): Promise<Account> {
    return await this.call('POST', '/accounts', {
      email: `${randomUUID()}@harbour.example`,
      password: 'a long enough password',
      name: role === 'employer' ? 'Garvin Sawyer' : 'Simone Bethel',
      role,
      ...(role === 'employer' ? { company: 'Driftwood Kitchens' } : {}),
    })
  }

  async postJob(change: object = {}): Promise<Job> {
    return await this.call('POST', '/jobs', { ...JOB, ...change })
  }

  /** Uploads a résumé straight to the bucket and applies with it. */
  async apply(jobId: string, resume = pdf(2_000)): Promise<MyApplication> {
    return await this.call('POST', `/jobs/${jobId}/applications`, {
      uploadToken: await this.upload(resume),
      note: 'I cook.',
    })
  }

  /** The token of a finished upload. */
  async upload(bytes: Buffer): Promise<string> {
    const ticket = await this.call<{
      readonly token: string
      readonly kind: 'put' | 'multipart'
      readonly url: string
      readonly headers: Record<string, string>
      readonly parts: readonly { readonly url: string; readonly size: number }[]
    }>('POST', '/uploads', { name: 'résumé.pdf', size: bytes.length, type: 'application/pdf' })
    const parts = ticket.kind === 'put' ? [{ url: ticket.url, size: bytes.length }] : ticket.parts
    let at = 0
    for (const part of parts) {
      const body = new Uint8Array(bytes.subarray(at, at + part.size))
      at += part.size
      const sent = await fetch(part.url, { method: 'PUT', body, headers: ticket.headers ?? {} })
      if (!sent.ok) throw new Error(`the bucket answered ${sent.status}: ${await sent.text()}`)
    }
    return ticket.token
  }
}

export const JOB = {
  title: 'Breakfast Cook',
  description: 'Cook what the first boat out wants to eat, six mornings a week.',
  island: 'Abaco',
  place: 'Hope Town',
  trade: 'Hospitality',
  type: 'part-time',
  remote: false,
  payFrom: 20_000,
  payTo: 24_000,
} as const

export function pdf(size: number): Buffer {
  const bytes = randomBytes(size)
  bytes.write('%PDF-1.7\n')
  return bytes
}
