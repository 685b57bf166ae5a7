import { type CompleteResult, createStorage, defineUpload, r2, type UploadTicket } from '@cays/storage'
import { type IssueUpload, RESUME_MAX_BYTES, RESUME_TYPE } from '../contract/application.ts'
import type { Config } from './config.ts'
import { HttpProblem } from './http/problem.ts'

/** Résumés in the bucket: bytes go from the browser to the bucket and back and never through the app. */
export interface Resumes {
  /** A ticket with which this seeker's browser uploads this one file, straight to the bucket. */
  issue(accountId: string, file: IssueUpload): Promise<UploadTicket>
  /** Proves what arrived; only then the file has a key that may be stored. */
  complete(accountId: string, token: string): Promise<CompleteResult>
  /** A link to read the file for five minutes. */
  link(key: string, name: string): string
  /** False once the bucket did not answer, until it does again. */
  readonly up: boolean
  close(): Promise<void>
}

const resume = defineUpload({
  name: 'resume',
  bucket: 'private',
  accept: [RESUME_TYPE],
  maxBytes: RESUME_MAX_BYTES,
  expiresIn: '10m',
})

const PROBE_EVERY = 2_000

export function createResumes(config: Config): Resumes {
  const { endpoint, name, accessKeyId, secretAccessKey } = config.bucket
  const storage = createStorage({
    buckets: {
      private: r2({
        accountId: config.bucket.accountId,
        bucket: name,
        endpoint,
        credentials: { accessKeyId, secretAccessKey },
      }),
    },
    ticketSecret: config.secret,
  })
  const bucket = storage.bucket('private')
  let up = true
  const probe = setInterval(async () => {
    try {
      await bucket.exists('no-such-object', { signal: AbortSignal.timeout(PROBE_EVERY) })
      up = true
    } catch {
      up = false
    }
  }, PROBE_EVERY)
  probe.unref()
  return {
    async issue(accountId, file) {
      const issued = await storage.uploads.issue(resume, { subject: accountId, ...file })
      if (!issued.ok) throw new HttpProblem('refused', { detail: issued.detail })
      return issued.ticket
    },
    complete: (accountId, token) => storage.uploads.complete(resume, { token, subject: accountId }),
    link: (key, name) => bucket.signedUrl(key, { expiresIn: '5m', download: name }),
    get up() {
      return up
    },
    async close() {
      clearInterval(probe)
      await storage.close()
    },
  }
}
