import type { Bucket } from '@cays/storage'
import { type Contender, defineCase } from '../../../bench/define-case.ts'
import { openStore } from './open-store.ts'

const MiB = 2 ** 20
const SIZE = 128 * MiB
const CONNECTIONS = 8
const PART = 4 * MiB
const SPEED = 20 * MiB

/** `read` answers how many bytes have arrived. */
function reading(name: string, read: (files: Bucket) => Promise<number>): Contender {
  return {
    name,
    async prepare() {
      const { files, close } = await openStore(SPEED)
      await files.put('large', Buffer.alloc(SIZE, 'x'))
      return {
        async run(count) {
          for (let index = 0; index < count; index += 1) {
            if ((await read(files)) !== SIZE) throw new Error('the download was not whole')
          }
        },
        close,
      }
    },
  }
}

async function counted(body: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0
  for await (const chunk of body) bytes += chunk.length
  return bytes
}

/** As fast as the store can be read: every connection takes one range after the other, and nothing puts them in order. */
async function fetched(files: Bucket): Promise<number> {
  const url = files.signedUrl('large')
  let next = 0
  const work = async () => {
    let bytes = 0
    for (let start = next++ * PART; start < SIZE; start = next++ * PART) {
      const { body } = await fetch(url, { headers: { range: `bytes=${start}-${start + PART - 1}` } })
      if (body) bytes += await counted(body)
    }
    return bytes
  }
  const all = await Promise.all(Array.from({ length: CONNECTIONS }, work))
  return all.reduce((sum, bytes) => sum + bytes, 0)
}

export const benchmark = defineCase({
  operation: '128 MiB from a store that gives each connection 20 MiB/s',
  contenders: [
    reading('@cays/storage', async (files) =>
      counted((await files.download('large', { connections: CONNECTIONS, partSize: PART })).body),
    ),
    reading('one connection', async (files) => counted((await files.get('large')).body)),
    reading('ranges by fetch, in no order', fetched),
  ],
  claims: [
    {
      figure: 'download over 8 connections beside one',
      must: { advantage: 6 },
      against: 'one connection',
      by: 'time',
    },
  ],
  rounds: 9,
  warmUps: 1,
})
