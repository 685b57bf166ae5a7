/** An S3 that takes every write, forgets it, and answers after 200 ms, so that transfers pile up. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const DELAY = 200
const ETAG = { etag: '"0123456789abcdef0123456789abcdef"' }
const STARTED = '<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>'
const COMPLETED = `<CompleteMultipartUploadResult><ETag>${ETAG.etag}</ETag></CompleteMultipartUploadResult>`

const server = createServer((request, response) => {
  request.resume()
  request.once('end', () => {
    const { searchParams } = new URL(request.url ?? '', 'http://localhost')
    if (request.method === 'POST') response.end(searchParams.has('uploads') ? STARTED : COMPLETED)
    else setTimeout(() => response.writeHead(200, ETAG).end(), DELAY)
  })
})
server.listen(0, '127.0.0.1', () => {
  process.send?.({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
})
process.on('disconnect', () => process.exit(0))
