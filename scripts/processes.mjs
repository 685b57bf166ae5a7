import { spawn } from 'node:child_process'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

const OUTPUT_LIMIT = 4_000_000
const running = new Set()

/**
 * Runs a program in a process group of its own and keeps the last part of what it printed.
 * `limit` (milliseconds) ends the whole group when exceeded; `onMessage` receives what the child sends.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, limit?: number, onMessage?: (message: any) => void }} [options]
 * @returns {Promise<{ code: number, output: string, seconds: number }>}
 */
export function run(command, args, options = {}) {
  const { cwd, env = process.env, limit, onMessage } = options
  const started = performance.now()
  return new Promise((resolve) => {
    let output = ''
    const add = (text) => {
      output += text
      if (output.length > OUTPUT_LIMIT) output = output.slice(-OUTPUT_LIMIT / 2)
    }
    const child = spawn(command, args, {
      cwd,
      env,
      detached: true,
      stdio: onMessage ? ['ignore', 'pipe', 'pipe', 'ipc'] : ['ignore', 'pipe', 'pipe'],
    })
    running.add(child)
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', add)
    if (onMessage) child.on('message', onMessage)
    const timer = limit
      ? setTimeout(() => {
          add(`\nended after ${limit / 1_000} s, the limit of this step\n`)
          stop(child)
        }, limit)
      : undefined
    const settle = (code) => {
      clearTimeout(timer)
      running.delete(child)
      resolve({ code, output, seconds: (performance.now() - started) / 1_000 })
    }
    child.once('error', (error) => {
      add(`${command}: ${error.message}\n`)
      settle(127)
    })
    // 'exit', not 'close': a survivor that inherited the pipes must not keep the run from ending.
    child.once('exit', (code, signal) => setTimeout(settle, 50, code ?? (signal ? 128 : 1)))
  })
}

function signalGroup(child, signal) {
  try {
    process.kill(-child.pid, signal)
  } catch {
    // The group is gone.
  }
}

async function stop(child) {
  signalGroup(child, 'SIGTERM')
  for (let waited = 0; waited < 5_000 && running.has(child); waited += 100) await sleep(100)
  if (running.has(child)) signalGroup(child, 'SIGKILL')
}

/** Ends every program started with `run` that is still there. */
export async function stopAll() {
  await Promise.all([...running].map(stop))
}

/**
 * The processes that belong to a run: those whose environment holds `tag`, whose command line names `folder`
 * or whose working directory is in it. Where there is no /proc, the command line alone decides.
 */
export async function survivors(tag, folder) {
  if (process.platform !== 'linux') return await survivorsByCommand(folder)
  const found = []
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue
    const [environment, command, cwd] = await Promise.all([
      readFile(`/proc/${pid}/environ`, 'utf8').catch(() => ''),
      readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
      readlink(`/proc/${pid}/cwd`).catch(() => ''),
    ])
    // An empty command line is a process that has ended and waits to be collected.
    if (!command) continue
    if (environment.includes(tag) || command.includes(folder) || cwd.startsWith(folder)) {
      found.push({ pid: Number(pid), command: command.replaceAll('\0', ' ').trim().slice(0, 160) })
    }
  }
  return found
}

async function survivorsByCommand(folder) {
  const { output } = await run('ps', ['-axww', '-o', 'pid=,command='])
  return output
    .split('\n')
    .filter((line) => line.includes(folder))
    .map((line) => ({ pid: Number.parseInt(line, 10), command: line.trim().slice(0, 160) }))
    .filter(({ pid }) => pid > 0 && pid !== process.pid)
}

/** Waits for the processes of a run to end by themselves, ends the rest, and answers which these were. */
export async function endSurvivors(tag, folder, grace = 5_000) {
  const until = Date.now() + grace
  let left = await survivors(tag, folder)
  while (left.length > 0 && Date.now() < until) {
    await sleep(200)
    left = await survivors(tag, folder)
  }
  for (const { pid } of left) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended meanwhile.
    }
  }
  return left
}
