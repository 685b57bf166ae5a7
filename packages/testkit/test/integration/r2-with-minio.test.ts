import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { Client } from 'minio'
import { type Account, type ForeignClient, PART_BYTES, worksWith } from '../conformance/s3-client.suite.ts'

function connect({ url, region, bucket, accessKeyId, secretAccessKey }: Account): ForeignClient {
  const { hostname, port } = new URL(url)
  const client = new Client({
    endPoint: hostname,
    port: Number(port),
    useSSL: false,
    region,
    accessKey: accessKeyId,
    secretKey: secretAccessKey,
    partSize: PART_BYTES,
  })
  return {
    put: (key, bytes) => client.putObject(bucket, key, bytes),
    putParts: (key, bytes) => client.putObject(bucket, key, Readable.from([bytes]), bytes.length),
    get: async (key) => await buffer(await client.getObject(bucket, key)),
    size: async (key) => (await client.statObject(bucket, key)).size,
    async list(prefix) {
      const keys: string[] = []
      for await (const { name } of client.listObjectsV2(bucket, prefix, true)) keys.push(name)
      return keys
    },
    remove: (key) => client.removeObject(bucket, key),
    presigned: (method, key) =>
      method === 'PUT' ? client.presignedPutObject(bucket, key) : client.presignedGetObject(bucket, key),
  }
}

worksWith('minio', connect)
