import { randomBytes } from 'node:crypto'
import { createStorage, r2 } from '../../src/index.ts'

// Uploads without end, to be killed in the middle of it.
const storage = createStorage({
  buckets: {
    files: r2({
      accountId: process.env.R2_ACCOUNT ?? '',
      bucket: 'files',
      endpoint: process.env.R2_URL ?? '',
      credentials: {
        accessKeyId: process.env.R2_ID ?? '',
        secretAccessKey: process.env.R2_SECRET ?? '',
      },
    }),
  },
})

async function* endless() {
  for (let index = 0; index < 10_000; index++) {
    yield randomBytes(2 ** 20)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

await storage.bucket('files').put('killed', endless())
