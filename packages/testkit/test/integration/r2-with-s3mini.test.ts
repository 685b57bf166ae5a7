import { S3mini } from 's3mini'
import { type Account, type ForeignClient, partsOf, worksWith } from '../conformance/s3-client.suite.ts'

function connect({ url, region, bucket, accessKeyId, secretAccessKey }: Account): ForeignClient {
  const client = new S3mini({ accessKeyId, secretAccessKey, endpoint: `${url}/${bucket}`, region })
  return {
    put: (key, bytes) => client.putObject(key, bytes),
    async putParts(key, bytes) {
      const uploadId = await client.getMultipartUploadId(key)
      const parts = []
      for (const [index, part] of partsOf(bytes).entries()) {
        parts.push(await client.uploadPart(key, uploadId, part, index + 1))
      }
      await client.completeMultipartUpload(key, uploadId, parts)
    },
    get: async (key) => {
      const bytes = await client.getObjectArrayBuffer(key)
      if (!bytes) throw new Error('not there')
      return Buffer.from(bytes)
    },
    size: (key) => client.getContentLength(key),
    list: async (prefix) => ((await client.listObjects('/', prefix)) ?? []).map(({ Key }) => Key),
    remove: (key) => client.deleteObject(key),
    presigned: (method, key) => client.getPresignedUrl(method, key),
  }
}

worksWith('s3mini', connect)
