import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { DeleteBucketLifecycleCommand, PutBucketLifecycleConfigurationCommand } from '@aws-sdk/client-s3'
import { type R2Server, startR2 } from '@cays/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createStorage, r2 } from '../../src/index.ts'
import { clientOf, doctor, ORIGIN } from '../support/doctor.ts'

const HEADERS = ['content-type', 'if-none-match', 'x-amz-checksum-sha256']

describe('the doctor, of R2', () => {
  let server: R2Server
  const args = (...more: string[]) => [
    '--bucket=files',
    `--r2=${server.accountId}`,
    `--endpoint=${server.url}`,
    ...more,
  ]

  beforeAll(async () => {
    const cors = [{ AllowedOrigins: [ORIGIN], AllowedMethods: ['GET', 'PUT'], AllowedHeaders: HEADERS }]
    server = await startR2({ buckets: ['files'], cors })
  })
  afterEach(() => server.skewClock(0))
  afterAll(() => server?.close())

  it('finds nothing in a bucket that is in order, and leaves nothing in it', async () => {
    const { code, output, found } = await doctor(args('--origin', ORIGIN), server)
    expect(output).toContain('Nothing failed.')
    expect({ code, outcomes: new Set(Object.values(found)) }).toEqual({ code: 0, outcomes: new Set(['ok']) })
    expect(Object.keys(found)).toEqual([
      'endpoint',
      'clock',
      'credentials',
      'signatures',
      'capabilities',
      'readers',
      'cors',
      'lifecycle',
      'left behind',
    ])
    expect(server.inspect('files')).toEqual({ objects: [], uploads: [] })
  })

  it('finds an origin that may not upload, and prints the rule that is missing', async () => {
    const { code, output, found } = await doctor(args('--origin', 'https://other.example.com'), server)
    expect({ code, cors: found.cors }).toEqual({ code: 1, cors: 'FAILED' })
    expect(output).toContain('"AllowedOrigins":["https://other.example.com"]')
  })

  it('finds wrong secrets, unknown keys and missing buckets, and tries nothing more', async () => {
    const { accessKeyId } = server
    const wrong = await doctor(args(), { accessKeyId, secretAccessKey: 'f'.repeat(64) })
    expect(wrong).toMatchObject({ code: 1, found: { credentials: 'FAILED' } })
    expect(wrong.output).toContain('The secret does not belong to the key id.')
    expect(wrong.found.cors).toBeUndefined()
    const other = ['--bucket=other', `--endpoint=${server.url}`]
    const missing = await doctor(other, server)
    expect(missing).toMatchObject({ code: 1, found: { credentials: 'FAILED' } })
    expect(missing.output).toContain('no bucket of that name')
    const nobody = await doctor(args(), { accessKeyId: 'nobody', secretAccessKey: 'f'.repeat(64) })
    expect(nobody).toMatchObject({ code: 1, found: { credentials: 'FAILED' } })
  })

  it('finds a clock that is off', async () => {
    server.skewClock('10m')
    expect(await doctor(args(), server)).toMatchObject({ code: 0, found: { clock: 'warning' } })
    server.skewClock('2h')
    expect(await doctor(args(), server)).toMatchObject({ code: 1, found: { clock: 'FAILED' } })
  })

  it('finds abandoned uploads, and that nothing ends them', async () => {
    const client = clientOf(server.url, 'auto', server)
    await client.send(new DeleteBucketLifecycleCommand({ Bucket: 'files' }))
    await client.send(
      new PutBucketLifecycleConfigurationCommand({
        Bucket: 'files',
        LifecycleConfiguration: {
          Rules: [{ Status: 'Enabled', Filter: { Prefix: 'tmp/' }, Expiration: { Days: 1 } }],
        },
      }),
    )
    const { url: endpoint, accountId } = server
    await using storage = createStorage({
      buckets: { files: r2({ accountId, bucket: 'files', endpoint, credentials: server }) },
    })
    const controller = new AbortController()
    server.fault({ operation: 'AbortMultipartUpload', status: 500 })
    async function* endless() {
      for (let sent = 0; ; sent++) {
        if (sent === 9) controller.abort('enough')
        yield Buffer.alloc(2 ** 20)
      }
    }
    await expect(storage.bucket('files').put('left', endless(), { signal: controller.signal })).rejects.toBe(
      'enough',
    )
    server.clearFaults()
    server.age('files', 'left', '2d')
    const { code, found, output } = await doctor(args(), server)
    expect({ code, found }).toMatchObject({
      code: 0,
      found: { lifecycle: 'warning', 'left behind': 'warning' },
    })
    expect(output).toContain('storage.sweep()')
    await storage.sweep()
  })

  it('looks at the public address: of another bucket, without nosniff, and as it should be', async () => {
    const { url: endpoint, accountId } = server
    await using storage = createStorage({
      buckets: { files: r2({ accountId, bucket: 'files', endpoint, credentials: server }) },
    })
    let headers: Record<string, string> = {}
    let broken = false
    const domain = createServer(async (request, response) => {
      const key = decodeURIComponent((request.url ?? '').slice('/cdn/'.length))
      if (broken) return response.writeHead(404).end()
      response.writeHead(200, headers).end(await (await storage.bucket('files').get(key)).bytes())
    })
    await new Promise<void>((done) => domain.listen(0, '127.0.0.1', done))
    onTestFinished(() => void domain.close())
    const url = `http://127.0.0.1:${(domain.address() as AddressInfo).port}/cdn`
    const examine = () => doctor(args('--public-url', url), server)
    expect(await examine()).toMatchObject({ code: 0, found: { readers: 'warning' } })
    headers = { 'x-content-type-options': 'nosniff' }
    expect(await examine()).toMatchObject({ code: 0, found: { readers: 'ok' } })
    broken = true
    expect(await examine()).toMatchObject({ code: 1, found: { readers: 'FAILED' } })
  })

  it('says that nothing answers', async () => {
    const { code, found } = await doctor(['--bucket=files', '--endpoint=http://127.0.0.1:1'], server)
    expect({ code, found }).toEqual({ code: 1, found: { endpoint: 'FAILED' } })
  })

  it.each([
    ['without a bucket', ['--endpoint=http://127.0.0.1:1']],
    ['without an endpoint', ['--bucket=files']],
    ['with an option that there is not', ['--bucket=files', '--endpoint=http://127.0.0.1:1', '--secret=x']],
    ['with an origin that is none', ['--bucket=files', '--endpoint=http://127.0.0.1:1', '--origin=x']],
    ['with a jurisdiction that there is not', ['--bucket=files', '--r2=a', '--jurisdiction=mars']],
    ['for help', ['--help']],
  ])('explains itself when it is called %s', async (_, given) => {
    const { code, output } = await doctor(given, { accessKeyId: 'id', secretAccessKey: 'secret-of-the-test' })
    expect(code).toBe(2)
    expect(output).toContain('usage: cays-storage doctor')
  })
})
