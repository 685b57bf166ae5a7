import { startR2 } from '@cays/testkit'
import { s3 } from '../../src/index.ts'
import { behavesAsProvider } from '../conformance/provider.suite.ts'

const MiB = 2 ** 20

behavesAsProvider('R2', 'remote', async () => {
  const server = await startR2({ buckets: ['files'] })
  // As `r2` has it, but for the size of a copy, which nobody wants to reach in a test.
  const sourceAt = (endpoint: string) =>
    s3({
      bucket: 'files',
      endpoint,
      credentials: server,
      capabilities: { conditionalMultipart: false, maxCopyBytes: 8 * MiB },
    })
  return {
    source: sourceAt(server.url),
    remote: { url: server.url, sourceAt },
    close: () => server.close(),
  }
})
