import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { defineUpload } from '@cays/storage'
import { expressUploads } from '@cays/storage/express'
import express from 'express'
import { type Contender, defineCase } from '../../../bench/define-case.ts'
import { openStore } from './open-store.ts'

const UPLOADS = 40
const body = randomBytes(2_000_000)
body.write('%PDF-1.7\n')
const facts = { name: 'resume.pdf', size: body.length, type: 'application/pdf' }

interface Ticket {
  readonly token: string
  readonly url: string
  readonly headers: Record<string, string>
}

const ours: Contender = {
  name: '@cays/storage',
  async prepare() {
    const { storage, close } = await openStore()
    const resume = defineUpload({ name: 'resume', bucket: 'files', accept: [facts.type], maxBytes: 4e6 })
    const app = express()
    app.use('/uploads', expressUploads({ storage, uploads: { resume }, subject: () => 'somebody' }))
    const server = createServer(app)
    let received = 0
    server.on('connection', (socket) => {
      socket.on('data', (chunk) => {
        received += chunk.length
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/uploads/resume`
    const ask = async (step: string, request: object) => {
      const headers = { 'content-type': 'application/json' }
      const answer = await fetch(`${base}/${step}`, {
        method: 'POST',
        headers,
        body: JSON.stringify(request),
      })
      const json = (await answer.json()) as { readonly ok: boolean; readonly ticket: Ticket }
      if (!json.ok) throw new Error(`${step} was refused`)
      return json
    }
    return {
      async run() {
        received = 0
        const times: number[] = []
        for (let index = 0; index < UPLOADS; index += 1) {
          const started = performance.now()
          const { url, headers, token } = (await ask('issue', facts)).ticket
          const put = await fetch(url, { method: 'PUT', headers, body })
          if (put.status !== 200) throw new Error(`the bucket answered ${put.status}`)
          await ask('complete', { token })
          times.push(performance.now() - started)
        }
        times.sort((a, b) => a - b)
        return { p95: times[Math.floor(UPLOADS * 0.95)] ?? Number.NaN, app: received / UPLOADS / 1_000 }
      },
      async close() {
        server.closeAllConnections()
        server.close()
        await close()
      },
    }
  },
}

export const benchmark = defineCase({
  operation: `${UPLOADS} files of 2 MB from ticket to proven object, one after the other`,
  contenders: [ours],
  claims: [
    { figure: 'p95 of a 2 MB upload, ticket and proof included', must: { most: 500, unit: 'ms' }, by: 'p95' },
    { figure: 'what the app receives of a 2 MB upload', must: { most: 5, unit: 'kB' }, by: 'app' },
  ],
  rounds: 5,
  warmUps: 1,
})
