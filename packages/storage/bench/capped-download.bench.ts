import type { Bucket } from '@cays/storage'
import { type Contender, defineCase } from '../../../bench/define-case.ts'
import { openStore } from './open-store.ts'

const MiB = 2 ** 20
const SIZE = 64 * MiB
const SPEED = 20 * MiB

function reading(name: string, read: (files: Bucket) => Promise<AsyncIterable<Uint8Array>>): Contender {
  return {
    name,
    async prepare() {
      const { files, close } = await openStore(SPEED)
      await files.put('large', Buffer.alloc(SIZE, 'x'))
      return {
        async run(count) {
          for (let index = 0; index < count; index += 1) {
            let bytes = 0
            for await (const chunk of await read(files)) bytes += chunk.length
            if (bytes !== SIZE) throw new Error('the download was not whole')
          }
        },
        close,
      }
    },
  }
}

export const benchmark = defineCase({
  operation: '64 MiB from a store that gives each connection 20 MiB/s',
  contenders: [
    reading(
      '@cays/storage',
      async (files) => (await files.download('large', { connections: 8, partSize: 4 * MiB })).body,
    ),
    reading('one connection', async (files) => (await files.get('large')).body),
  ],
  claims: [
    {
      figure: 'download over 8 connections beside one',
      must: { advantage: 6 },
      against: 'one connection',
      by: 'time',
    },
  ],
  rounds: 5,
  warmUps: 1,
})
