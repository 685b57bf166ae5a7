import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { startCephRgw } from '../../../../test/servers/ceph-rgw.ts'
import { s3 } from '../../src/index.ts'
import { behavesAsProvider } from '../conformance/provider.suite.ts'

const MiB = 2 ** 20

behavesAsProvider('Ceph RGW', 'remote', async () => {
  const server = await startCephRgw()
  const { accessKeyId, secretAccessKey, url, region } = server
  const credentials = { accessKeyId, secretAccessKey }
  const client = new S3Client({ endpoint: url, region, credentials, forcePathStyle: true })
  await client.send(new CreateBucketCommand({ Bucket: 'files' }))
  client.destroy()
  const sourceAt = (endpoint: string) =>
    s3({
      bucket: 'files',
      endpoint,
      region,
      credentials,
      // What Ceph 16 accepts and ignores.
      capabilities: {
        conditionalMultipart: false,
        conditionalCopy: false,
        verifiesSha256: false,
        maxCopyBytes: 8 * MiB,
      },
    })
  return {
    source: sourceAt(url),
    remote: { url, sourceAt },
    close: () => server.close(),
  }
})
