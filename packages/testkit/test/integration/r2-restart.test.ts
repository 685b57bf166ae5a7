import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { startR2 } from '@cays/testkit'
import { afterAll, expect, test } from 'vitest'

const dir = mkdtempSync(join(tmpdir(), 'r2-restart-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

test('objects survive a restart of the server on the same folder', async () => {
  const credentials = { accessKeyId: 'key', secretAccessKey: 'secret' }
  const first = await startR2({ dir, credentials, buckets: ['media'] })
  const { url, port, region } = first
  const s3 = new S3Client({ endpoint: url, region, forcePathStyle: true, credentials })
  await s3.send(new PutObjectCommand({ Bucket: 'media', Key: 'a', Body: 'kept', Metadata: { x: '1' } }))
  await first.close()

  await using second = await startR2({ dir, credentials, port })
  expect(second.inspect('media')).toEqual({ objects: ['a'], uploads: [] })
  const { Body, Metadata } = await s3.send(new GetObjectCommand({ Bucket: 'media', Key: 'a' }))
  expect(await Body?.transformToString()).toBe('kept')
  expect(Metadata).toEqual({ x: '1' })
  s3.destroy()
})
