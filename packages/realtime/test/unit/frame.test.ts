import { constants, inflateRawSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { SharedFrames } from '../../src/frame.ts'

const plain = { deflates: false }
const deflating = { deflates: true }

/** The text of one frame, as a client reads it. */
function read(frame: Buffer): { readonly text: string; readonly deflated: boolean } {
  const length = (frame[1] ?? 0) < 126 ? 2 : 4
  const payload = frame.subarray(length)
  const deflated = frame[0] === 0xc1
  const tail = Buffer.from([0, 0, 0xff, 0xff])
  const text = deflated
    ? inflateRawSync(Buffer.concat([payload, tail]), { finishFlush: constants.Z_SYNC_FLUSH })
    : payload
  return { text: text.toString(), deflated }
}

it('each form of a frame is made once, however many sockets want it', () => {
  const message = JSON.stringify(['m', 'r', 1, 'e', 'é word '.repeat(500)])
  const frames = new SharedFrames([message, message], { threshold: 1_024 })
  expect(frames.for(deflating)).toBe(frames.for(deflating))
  expect(frames.for(plain)).toBe(frames.for(plain))
  expect(read(frames.for(plain))).toEqual({ text: `${message}\n${message}`, deflated: false })
  expect(read(frames.for(deflating))).toEqual({ text: `${message}\n${message}`, deflated: true })
  expect(frames.for(deflating).length).toBeLessThan(frames.for(plain).length / 10)
})

it('what is short, or does not become smaller, is not compressed', () => {
  const short = new SharedFrames(['["m","r",1,"e",0]'], { threshold: 1_024 })
  expect(read(short.for(deflating)).deflated).toBe(false)
  const noise = new SharedFrames(['["m"]'], { threshold: 0 })
  expect(read(noise.for(deflating))).toEqual({ text: '["m"]', deflated: false })
})

it('without the option nothing is compressed', () => {
  expect(read(new SharedFrames(['x'.repeat(5_000)], undefined).for(deflating)).deflated).toBe(false)
})
