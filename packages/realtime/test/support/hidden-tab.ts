import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { superviseChild } from '@cays/testkit'
import { WebSocket } from 'ws'

interface Answer {
  readonly id?: number
  readonly result?: { readonly result?: { readonly value?: unknown } }
}

/**
 * A Chromium of its own for background tabs, driven by hand: Playwright keeps its pages visible, and a visible
 * page is never frozen.
 */
export async function startHiddenBrowser() {
  const profile = mkdtempSync(join(tmpdir(), 'cays-tab-'))
  const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--remote-debugging-port=0']
  const command = process.env.CHROMIUM ?? '/usr/bin/chromium'
  // A group of its own, so that all of its processes can be ended at once: one left alive writes into the profile.
  const child = spawn(command, [...flags, `--user-data-dir=${profile}`, 'about:blank'], {
    stdio: 'ignore',
    detached: true,
  })
  superviseChild(child)
  const file = join(profile, 'DevToolsActivePort')
  while (!existsSync(file) || !readFileSync(file, 'utf8').includes('\n')) {
    if (child.exitCode !== null) throw new Error('chromium died at start')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  const [port] = readFileSync(file, 'utf8').split('\n')
  const targets = `http://127.0.0.1:${port}/json`
  const open = async (address: string) => {
    const answer = await fetch(`${targets}/new?${address}`, { method: 'PUT' })
    return (await answer.json()) as { readonly id: string; readonly webSocketDebuggerUrl: string }
  }
  return {
    async openTab(url: string) {
      const { id, webSocketDebuggerUrl } = await open(url)
      // The tab in front of it.
      await open('about:blank')
      return { ...(await debug(webSocketDebuggerUrl)), close: () => fetch(`${targets}/close/${id}`) }
    },
    async close() {
      const exited = once(child, 'exit')
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      await exited
      rmSync(profile, { recursive: true, force: true, maxRetries: 10 })
    },
  }
}

async function debug(debuggerUrl: string) {
  const socket = new WebSocket(debuggerUrl)
  await once(socket, 'open')
  let id = 0
  const waiting = new Map<number, (answer: Answer) => void>()
  socket.on('message', (data) => {
    const answer = JSON.parse(data.toString()) as Answer
    waiting.get(answer.id ?? -1)?.(answer)
  })
  const send = (method: string, params: object) =>
    new Promise<Answer>((resolve) => {
      waiting.set(++id, resolve)
      socket.send(JSON.stringify({ id, method, params }))
    })
  return {
    /** The value of an expression in the page. */
    async evaluate(expression: string): Promise<unknown> {
      const answer = await send('Runtime.evaluate', { expression, returnByValue: true })
      return answer.result?.result?.value
    },
    freeze: () => send('Page.setWebLifecycleState', { state: 'frozen' }),
    thaw: () => send('Page.setWebLifecycleState', { state: 'active' }),
  }
}
