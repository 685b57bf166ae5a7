import { S3Client } from 'lean-s3'
import { type Account, type ForeignClient, partsOf, worksWith } from '../conformance/s3-client.suite.ts'

function connect({ url, region, bucket, accessKeyId, secretAccessKey }: Account): ForeignClient {
  const client = new S3Client({ endpoint: url, region, bucket, accessKeyId, secretAccessKey })
  return {
    put: (key, bytes) => client.file(key).write(bytes),
    async putParts(key, bytes) {
      const { uploadId } = await client.createMultipartUpload(key)
      const parts = []
      for (const [index, part] of partsOf(bytes).entries()) {
        parts.push(await client.uploadPart(key, uploadId, part, index + 1))
      }
      await client.completeMultipartUpload(key, uploadId, parts)
    },
    get: async (key) => Buffer.from(await client.file(key).bytes()),
    size: async (key) => (await client.file(key).stat()).size,
    list: async (prefix) => (await client.list({ prefix })).contents.map(({ key }) => key),
    remove: (key) => client.file(key).delete(),
    presigned: (method, key) => client.presign(key, { method }),
  }
}

// It does not encode a percent sign in a key.
worksWith('lean-s3', connect, "odd/a (1) ü+&= 日本 'x'*.bin")
