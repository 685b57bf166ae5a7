import { type Contender, defineCase } from '../../../bench/define-case.ts'
import { openStore } from './open-store.ts'

// With more of it, V8 collects all garbage in the middle of some reads, which then cost twice as much.
const SIZE = 32 * 2 ** 20

type Store = Awaited<ReturnType<typeof openStore>>

function reading(name: string, read: (store: Store) => Promise<AsyncIterable<Uint8Array>>): Contender {
  return {
    name,
    async prepare() {
      const store = await openStore()
      await store.files.put('large', Buffer.alloc(SIZE, 'x'))
      return {
        async run(count) {
          for (let index = 0; index < count; index += 1) {
            let bytes = 0
            for await (const chunk of await read(store)) bytes += chunk.length
            if (bytes !== SIZE) throw new Error('the download was not whole')
          }
        },
        close: store.close,
      }
    },
  }
}

export const benchmark = defineCase({
  operation: '32 MiB read as one stream on loopback',
  contenders: [
    reading('@cays/storage', async ({ files }) => (await files.get('large')).body),
    reading('fetch', async ({ files }) => {
      const { body } = await fetch(files.signedUrl('large'))
      if (!body) throw new Error('an answer without a body')
      return body
    }),
  ],
  claims: [{ figure: 'one stream beside raw fetch', must: { ratio: 1.11 }, against: 'fetch' }],
  rounds: 201,
  warmUps: 10,
  // One read each: the garbage of one is gone before the next.
  roundTime: 1,
})
