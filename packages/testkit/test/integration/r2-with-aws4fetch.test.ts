import { AwsClient } from 'aws4fetch'
import { type Account, type ForeignClient, partsOf, worksWith } from '../conformance/s3-client.suite.ts'

function connect({ url, region, bucket, accessKeyId, secretAccessKey }: Account): ForeignClient {
  const client = new AwsClient({ accessKeyId, secretAccessKey, region, service: 's3', retries: 0 })
  const addressOf = (key: string, query = '') =>
    `${url}/${bucket}/${key.split('/').map(encodeURIComponent).join('/')}${query}`
  const ask = async (address: string, init?: RequestInit) => {
    const answer = await client.fetch(address, init ?? {})
    if (!answer.ok) throw new Error(`refused with ${answer.status}`)
    return answer
  }
  const textOf = async (address: string, init?: RequestInit) => await (await ask(address, init)).text()
  const all = (xml: string, name: string) =>
    [...xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, 'g'))].map(([, text = '']) => text)
  return {
    put: (key, bytes) => ask(addressOf(key), { method: 'PUT', body: new Uint8Array(bytes) }),
    async putParts(key, bytes) {
      const [uploadId = ''] = all(await textOf(addressOf(key, '?uploads'), { method: 'POST' }), 'UploadId')
      const parts: string[] = []
      for (const [index, part] of partsOf(bytes).entries()) {
        const query = `?partNumber=${index + 1}&uploadId=${encodeURIComponent(uploadId)}`
        const answer = await ask(addressOf(key, query), { method: 'PUT', body: new Uint8Array(part) })
        parts.push(
          `<Part><PartNumber>${index + 1}</PartNumber><ETag>${answer.headers.get('etag')}</ETag></Part>`,
        )
      }
      const body = `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`
      await ask(addressOf(key, `?uploadId=${encodeURIComponent(uploadId)}`), { method: 'POST', body })
    },
    get: async (key) => Buffer.from(await (await ask(addressOf(key))).arrayBuffer()),
    size: async (key) =>
      Number((await ask(addressOf(key), { method: 'HEAD' })).headers.get('content-length')),
    async list(prefix) {
      const query = `?list-type=2&encoding-type=url&prefix=${encodeURIComponent(prefix)}`
      return all(await textOf(`${url}/${bucket}${query}`), 'Key').map((key) =>
        decodeURIComponent(key.replaceAll('+', ' ')),
      )
    },
    remove: (key) => ask(addressOf(key), { method: 'DELETE' }),
    presigned: async (method, key) =>
      (await client.sign(addressOf(key), { method, aws: { signQuery: true } })).url,
  }
}

worksWith('aws4fetch', connect)
