import { type R2Server, startR2 } from '@cays/testkit'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import { readConfig } from '../../server/config.ts'
import { createResumes, type Resumes } from '../../server/resumes.ts'
import { pdf } from '../support/visitor.ts'

const BUCKET = 'harbour-private'
const DAY = 86_400_000

let bucket: R2Server
let resumes: Resumes

beforeAll(async () => {
  bucket = await startR2({ buckets: [BUCKET] })
  resumes = createResumes(
    readConfig({
      APP_ORIGINS: 'http://localhost',
      APP_SECRET: 'a secret of more than thirty-two characters',
      DATABASE_URL: 'postgres://nobody@127.0.0.1/none',
      R2_ACCOUNT_ID: bucket.accountId,
      S3_ENDPOINT: bucket.url,
      S3_BUCKET: BUCKET,
      S3_ACCESS_KEY_ID: bucket.accessKeyId,
      S3_SECRET_ACCESS_KEY: bucket.secretAccessKey,
    }),
  )
})
afterAll(async () => {
  await resumes.close()
  await bucket.close()
})
afterEach(() => {
  vi.useRealTimers()
})

it('are dropped a day after an upload that nobody applied with, and kept for good after one', async () => {
  const upload = async () => {
    const file = pdf(2_000)
    const ticket = await resumes.issue('a-seeker', {
      name: 'cv.pdf',
      size: file.length,
      type: 'application/pdf',
    })
    if (ticket.kind !== 'put') throw new Error('two thousand bytes need no parts')
    const body = new Uint8Array(file)
    expect((await fetch(ticket.url, { method: 'PUT', body, headers: ticket.headers })).status).toBe(200)
    return ticket.token
  }
  vi.useFakeTimers({ toFake: ['Date'] })
  const abandoned = await upload()
  const sent = await resumes.complete('a-seeker', await upload())
  if (!sent.ok) throw new Error(sent.detail)

  expect(await resumes.sweep()).toEqual({ objects: 0, uploads: 0, failures: [] })
  vi.setSystemTime(Date.now() + DAY + 60 * 60_000)
  // The abandoned one, and of the other what stays behind for a day so that its ticket is good only once.
  expect(await resumes.sweep()).toEqual({ objects: 2, uploads: 0, failures: [] })

  expect(await resumes.complete('a-seeker', abandoned)).toMatchObject({ ok: false })
  const link = resumes.link(sent.object.key, 'cv.pdf')
  expect((await fetch(link)).status).toBe(200)
})
