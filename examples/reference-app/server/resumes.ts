import {
  type CompleteResult,
  createStorage,
  defineUpload,
  type RefusalReason,
  r2,
  type SweepReport,
  type UploadTicket,
} from '@cays/storage'
import { type IssueUpload, RESUME_MAX_BYTES, RESUME_TYPE } from '../contract/application.ts'
import type { Config } from './config.ts'
import { HttpProblem } from './http/problem.ts'

/** Résumés in the bucket: bytes go from the browser to the bucket and back and never through the app. */
export interface Resumes {
  /** A ticket with which this seeker's browser uploads this one file, straight to the bucket. */
  issue(accountId: string, file: IssueUpload): Promise<UploadTicket>
  /** Proves what arrived; only then the file has a key that may be stored. A refusal's detail is for the visitor. */
  complete(accountId: string, token: string): Promise<CompleteResult>
  /** A link to read the file for five minutes. */
  link(key: string, name: string): string
  /** Drops uploads that nobody applied with within a day; every node may do it, also at once. */
  sweep(): Promise<SweepReport>
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

const ACCEPTED = `A résumé is a PDF of up to ${RESUME_MAX_BYTES / 2 ** 20} MB.`
const AGAIN = 'Please add the file again.'
/** What was wrong and what to do, for the person who chose the file. */
const REFUSALS: Readonly<Record<RefusalReason, string>> = {
  type: `This kind of file cannot be read as a résumé. ${ACCEPTED}`,
  content: `This file is called a PDF, but it is something else inside. Save it as a PDF and add it again. ${ACCEPTED}`,
  image: `This is a picture, or none that can be read. ${ACCEPTED}`,
  archive: `This is an archive, or a broken document. ${ACCEPTED}`,
  size: `What arrived is not as large as the file you chose. ${AGAIN} ${ACCEPTED}`,
  missing: `The file has not arrived, or only a part of it. ${AGAIN}`,
  checksum: `The file was damaged on its way. ${AGAIN}`,
  expired: `Too much time passed between the upload and your application. ${AGAIN}`,
  ticket: `This upload is not yours, or not for a résumé. ${AGAIN}`,
  inspection: `The file did not pass our check. ${ACCEPTED}`,
}

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
      if (!issued.ok) throw new HttpProblem('refused', { detail: REFUSALS[issued.reason] })
      return issued.ticket
    },
    async complete(accountId, token) {
      const done = await storage.uploads.complete(resume, { token, subject: accountId })
      return done.ok ? done : { ...done, detail: REFUSALS[done.reason] }
    },
    link: (key, name) => bucket.signedUrl(key, { expiresIn: '5m', download: name }),
    sweep: () => storage.sweep(),
    get up() {
      return up
    },
    async close() {
      clearInterval(probe)
      await storage.close()
    },
  }
}
