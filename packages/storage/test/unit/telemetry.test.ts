import { tracingChannel } from 'node:diagnostics_channel'
import type { Operation } from '@cays/core/tracing'
import { afterEach, expect, it } from 'vitest'
import { createStorage, defineUpload, r2 } from '../../src/index.ts'
import { CHANNELS } from '../../src/telemetry.ts'

const storage = createStorage({
  name: 'docs',
  buckets: {
    files: r2({
      accountId: 'acc',
      bucket: 'bucket',
      credentials: { accessKeyId: 'id', secretAccessKey: 'key' },
    }),
  },
  ticketSecret: 'a secret of the test suite, long enough',
})
const definition = defineUpload({ name: 'photo', bucket: 'files', accept: ['image/png'], maxBytes: 10 })
const request = { subject: 'somebody', name: 'secret name.png', size: 5, type: 'image/png' }
const cleanup: (() => void)[] = []

function listen(name: string): Operation[] {
  const seen: Operation[] = []
  const subscribers = { asyncEnd: (message: unknown) => void seen.push({ ...(message as Operation) }) }
  const channel = tracingChannel(name)
  channel.subscribe(subscribers as never)
  cleanup.push(() => channel.unsubscribe(subscribers as never))
  return seen
}

afterEach(() => {
  for (const undo of cleanup.splice(0)) undo()
})

it('says of each upload which definition it was and how it ended, and nothing of whose or what', async () => {
  const issued = listen('cays:storage:issue')
  const completed = listen('cays:storage:complete')
  const resumed = listen('cays:storage:resume')
  await storage.uploads.issue(definition, request)
  await storage.uploads.issue(definition, { ...request, size: 11 })
  await storage.uploads.complete(definition, { token: 'x', subject: 'somebody' })
  await storage.uploads.resume(definition, { token: 'x', subject: 'somebody' })
  const common = { instance: 'docs', attributes: { 'cays.bucket': 'files', 'cays.upload': 'photo' } }
  expect(issued).toMatchObject([
    { ...common, outcome: 'ok' },
    { ...common, outcome: 'size' },
  ])
  expect(completed).toMatchObject([{ ...common, outcome: 'ticket' }])
  expect(resumed).toMatchObject([{ ...common, outcome: 'ticket' }])
  expect(JSON.stringify([...issued, ...completed].map(({ attributes }) => attributes))).not.toMatch(
    /secret|somebody/,
  )
})

it('gives the code of a failure as outcome', async () => {
  const gets = listen('cays:storage:get')
  const closed = createStorage({
    buckets: {
      gone: r2({
        accountId: 'a',
        bucket: 'bbb',
        endpoint: 'http://127.0.0.1:1',
        attempts: 1,
        credentials: { accessKeyId: 'id', secretAccessKey: 'key' },
      }),
    },
  })
  await expect(closed.bucket('gone').get('k')).rejects.toMatchObject({ code: 'STORAGE_ERR_UNAVAILABLE' })
  expect(gets).toMatchObject([{ instance: 'storage', outcome: 'STORAGE_ERR_UNAVAILABLE' }])
})

it('is silent when nobody listens', () => {
  expect(Object.values(CHANNELS).filter(({ active }) => active)).toEqual([])
})
