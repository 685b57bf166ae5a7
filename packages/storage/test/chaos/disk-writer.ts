import { createStorage, disk } from '../../src/index.ts'

// Writes into a folder that takes no more, as a process of its own: what it may is set for a whole process.
const [root = '', size = '0', as = 'myself'] = process.argv.slice(2)
await using storage = createStorage({ buckets: { files: disk({ root }) } })
const files = storage.bucket('files')
// Root may write anywhere.
if (as === 'nobody' && process.getuid?.() === 0) process.setuid?.(65_534)
const outcome = await files.put('new', Buffer.alloc(Number(size))).then(
  () => 'written',
  (error: { readonly code?: unknown; readonly retryable?: unknown; readonly message: string }) => ({
    code: error.code,
    retryable: error.retryable,
    message: error.message,
  }),
)
console.log(
  JSON.stringify({ outcome, kept: await (await files.get('kept')).text(), memory: storage.health().memory }),
)
