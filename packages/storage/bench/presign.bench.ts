import { createStorage, r2 } from '@cays/storage'
import { defineCase } from '../../../bench/define-case.ts'
import { peer } from '../../../bench/peer.ts'

interface AwsClientModule {
  readonly S3Client: new (options: object) => { destroy(): void }
  readonly GetObjectCommand: new (input: { Bucket: string; Key: string }) => object
}
interface AwsPresignerModule {
  readonly getSignedUrl: (client: object, command: object, options: { expiresIn: number }) => Promise<string>
}
interface Aws4FetchModule {
  readonly AwsClient: new (
    options: object,
  ) => {
    sign(
      url: string,
      init: { method: string; aws: { signQuery: boolean } },
    ): Promise<{ readonly url: string }>
  }
}
interface S3MiniModule {
  readonly S3mini: new (
    options: object,
  ) => {
    getPresignedUrl(method: string, key: string, expires: number): Promise<string>
  }
}
interface MinioModule {
  readonly Client: new (
    options: object,
  ) => {
    presignedGetObject(bucket: string, key: string, expires: number): Promise<string>
  }
}

const host = '0123456789abcdef.r2.cloudflarestorage.com'
const bucket = 'private'
const region = 'auto'
const EXPIRES = 300
const credentials = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'an-example-of-a-secret-key-40-characters',
}
const { accessKeyId, secretAccessKey } = credentials
const keyOf = (index: number) => `resumes/2026/applicant ${index % 1_000}/résumé.pdf`

/** Signs one URL after the other and refuses to measure a contender that does not sign. */
function signing(sign: (key: string) => string | Promise<string>) {
  return async (count: number) => {
    let last = ''
    for (let index = 0; index < count; index += 1) {
      const signed = sign(keyOf(index))
      last = typeof signed === 'string' ? signed : await signed
    }
    if (!last.includes('X-Amz-Signature=')) throw new Error('no signature in the URL')
  }
}

export const benchmark = defineCase({
  operation: 'a signed GET URL of an object',
  contenders: [
    {
      name: '@cays/storage',
      prepare() {
        const storage = createStorage({
          buckets: { private: r2({ accountId: '0123456789abcdef', bucket, credentials }) },
          ticketSecret: 'a secret of the benchmark, long enough',
        })
        const files = storage.bucket('private')
        return {
          run: signing((key) => files.signedUrl(key, { expiresIn: '5m' })),
          close: () => storage.close(),
        }
      },
    },
    {
      name: '@aws-sdk/s3-request-presigner',
      async prepare() {
        const { S3Client, GetObjectCommand } = await peer<AwsClientModule>('@aws-sdk/client-s3')
        const { getSignedUrl } = await peer<AwsPresignerModule>('@aws-sdk/s3-request-presigner')
        const client = new S3Client({
          region,
          endpoint: `https://${host}`,
          forcePathStyle: true,
          credentials,
        })
        return {
          run: signing((Key) =>
            getSignedUrl(client, new GetObjectCommand({ Bucket: bucket, Key }), { expiresIn: EXPIRES }),
          ),
          close: () => client.destroy(),
        }
      },
    },
    {
      name: 'aws4fetch',
      async prepare() {
        const { AwsClient } = await peer<Aws4FetchModule>('aws4fetch')
        const client = new AwsClient({ ...credentials, service: 's3', region })
        return {
          run: signing(async (key) => {
            const url = `https://${host}/${bucket}/${encodeURI(key)}?X-Amz-Expires=${EXPIRES}`
            return (await client.sign(url, { method: 'GET', aws: { signQuery: true } })).url
          }),
        }
      },
    },
    {
      name: 's3mini',
      async prepare() {
        const { S3mini } = await peer<S3MiniModule>('s3mini')
        const client = new S3mini({ ...credentials, endpoint: `https://${host}/${bucket}`, region })
        return { run: signing((key) => client.getPresignedUrl('GET', key, EXPIRES)) }
      },
    },
    {
      name: 'minio',
      async prepare() {
        const { Client } = await peer<MinioModule>('minio')
        const client = new Client({
          endPoint: host,
          useSSL: true,
          region,
          accessKey: accessKeyId,
          secretKey: secretAccessKey,
        })
        return { run: signing((key) => client.presignedGetObject(bucket, key, EXPIRES)) }
      },
    },
  ],
  claims: [
    { figure: 'signing one URL', must: { cost: 25 } },
    { figure: 'signing one URL', must: { advantage: 15 }, against: '@aws-sdk/s3-request-presigner' },
  ],
})
