import { startR2 } from '@cays/testkit'
import { s3 } from '../../src/index.ts'
import { behavesAsProvider } from '../conformance/provider.suite.ts'

const MiB = 2 ** 20

behavesAsProvider('R2', async () => {
  const server = await startR2({ buckets: ['files'] })
  return {
    // As `r2` has it, but for the size of a copy, which nobody wants to reach in a test.
    source: s3({
      bucket: 'files',
      endpoint: server.url,
      credentials: server,
      capabilities: { conditionalMultipart: false, maxCopyBytes: 8 * MiB },
    }),
    close: () => server.close(),
  }
})
