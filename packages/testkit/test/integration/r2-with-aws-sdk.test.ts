import { Readable } from 'node:stream'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { type Account, type ForeignClient, PART_BYTES, worksWith } from '../conformance/s3-client.suite.ts'

function connect({ url, region, bucket: Bucket, accessKeyId, secretAccessKey }: Account): ForeignClient {
  const credentials = { accessKeyId, secretAccessKey }
  const options = { endpoint: url, region, credentials, forcePathStyle: true, maxAttempts: 1 }
  const client = new S3Client(options)
  // Its default adds the checksum of an empty body to a URL for a PUT.
  const signing = new S3Client({ ...options, requestChecksumCalculation: 'WHEN_REQUIRED' })
  return {
    put: (Key, Body) => client.send(new PutObjectCommand({ Bucket, Key, Body })),
    putParts: (Key, bytes) =>
      new Upload({
        client,
        params: { Bucket, Key, Body: Readable.from([bytes]) },
        partSize: PART_BYTES,
      }).done(),
    async get(Key) {
      const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }))
      return Buffer.from((await Body?.transformToByteArray()) ?? [])
    },
    size: async (Key) => (await client.send(new HeadObjectCommand({ Bucket, Key }))).ContentLength,
    async list(Prefix) {
      const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket, Prefix }))
      return Contents.map(({ Key }) => Key ?? '')
    },
    remove: (Key) => client.send(new DeleteObjectCommand({ Bucket, Key })),
    presigned: (method, Key) =>
      getSignedUrl(
        signing,
        method === 'PUT' ? new PutObjectCommand({ Bucket, Key }) : new GetObjectCommand({ Bucket, Key }),
      ),
    close() {
      client.destroy()
      signing.destroy()
    },
  }
}

worksWith('@aws-sdk/client-s3 and lib-storage', connect)
