import {
  CreateBucketCommand,
  PutBucketCorsCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketPolicyCommand,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CephRgw, startCephRgw } from '../../../../test/servers/ceph-rgw.ts'
import { clientOf, doctor, ORIGIN } from '../support/doctor.ts'

describe('the doctor, of Ceph RGW', () => {
  let server: CephRgw
  const args = (...more: string[]) => ['--bucket=files', `--endpoint=${server.url}`, ...more]
  beforeAll(async () => {
    server = await startCephRgw()
  })
  afterAll(() => server?.close())

  it('finds what it ignores, and in the end that everybody can read', async () => {
    const client = clientOf(server.url, server.region, server)
    await client.send(new CreateBucketCommand({ Bucket: 'files' }))
    const first = await doctor(args('--origin', ORIGIN), server)
    expect(first).toMatchObject({
      code: 1,
      found: {
        credentials: 'ok',
        signatures: 'ok',
        capabilities: 'warning',
        readers: 'ok',
        cors: 'FAILED',
        lifecycle: 'warning',
      },
    })
    expect(first.output).toMatch(
      /s3\({ capabilities: { .*conditionalCopy: false, verifiesSha256: false } }\)/,
    )
    await client.send(
      new PutBucketCorsCommand({
        Bucket: 'files',
        CORSConfiguration: {
          CORSRules: [{ AllowedOrigins: [ORIGIN], AllowedMethods: ['GET', 'PUT'], AllowedHeaders: ['*'] }],
        },
      }),
    )
    await client.send(
      new PutBucketLifecycleConfigurationCommand({
        Bucket: 'files',
        LifecycleConfiguration: {
          Rules: [
            {
              ID: 'abandoned',
              Status: 'Enabled',
              Filter: { Prefix: '' },
              AbortIncompleteMultipartUpload: { DaysAfterInitiation: 7 },
            },
          ],
        },
      }),
    )
    const second = await doctor(args('--origin', ORIGIN), server)
    expect(second).toMatchObject({ code: 0, found: { cors: 'ok', lifecycle: 'ok' } })
    const Statement = {
      Effect: 'Allow',
      Principal: '*',
      Action: 's3:GetObject',
      Resource: 'arn:aws:s3:::files/*',
    }
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [Statement] })
    await client.send(new PutBucketPolicyCommand({ Bucket: 'files', Policy }))
    expect(await doctor(args(), server)).toMatchObject({ code: 1, found: { readers: 'FAILED' } })
  })
})
