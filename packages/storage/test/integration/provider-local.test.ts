import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { disk, type LocalBucketSource, memory } from '../../src/index.ts'
import { behavesAsProvider, type Running } from '../conformance/provider.suite.ts'

/** A bucket of this machine behind its own little server. */
async function serve(
  make: (url: string) => LocalBucketSource,
  clean?: () => Promise<void>,
): Promise<Running> {
  let source: LocalBucketSource | undefined
  const server = createServer((request, response) => source?.handler(request, response))
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  source = make(`http://127.0.0.1:${(server.address() as AddressInfo).port}/files`)
  return {
    source,
    close: async () => {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
      await clean?.()
    },
  }
}

behavesAsProvider('disk', 'local', async () => {
  const root = await mkdtemp(join(tmpdir(), 'cays-disk-'))
  return await serve(
    (url) => disk({ root, url, secret: 'a secret of the test suite, long enough' }),
    () => rm(root, { recursive: true, force: true }),
  )
})

behavesAsProvider('memory', 'local', () => serve((url) => memory({ url })))
