/**
 * The guardian's program: plain JavaScript in a string, because it must run in a bare `node -e` wherever this
 * package itself comes from (TypeScript sources, the ESM build, the CJS build, a bundle).
 *
 * It reads one JSON message a line. `{ child }` and `{ folder }` put something under its care, `{ forget }` lets
 * go of it. When its standard input ends, its parent is gone, whatever ended it; the guardian then
 *  1. wakes each child and its descendants (a stopped process obeys only SIGKILL) and sends the stop signal;
 *  2. kills what is left of them when their time is over;
 *  3. removes the folders, and exits.
 * A process is signalled only while its start time is the one that was registered: pids are reused.
 */
export const GUARDIAN_SCRIPT: string = String.raw`
'use strict'
const fs = require('node:fs')
const { spawnSync } = require('node:child_process')
process.title = 'cays-guardian of ' + process.ppid
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGPIPE']) process.on(signal, () => {})

const wards = new Map()
let rest = ''
process.stdin.setEncoding('utf8')
process.stdin.on('data', (chunk) => {
  const lines = (rest + chunk).split('\n')
  rest = lines.pop()
  for (const line of lines) {
    const message = JSON.parse(line)
    if (message.forget) wards.delete(message.forget)
    else wards.set(message.id, message)
  }
})
let ended = false
for (const event of ['end', 'error', 'close']) process.stdin.on(event, () => {
  if (!ended) end()
  ended = true
})

function table() {
  const found = new Map()
  const add = (pid, parent, state, started) => {
    if (!/^[ZX]/.test(state)) found.set(Number(pid), { pid: Number(pid), parent: Number(parent), started })
  }
  if (process.platform === 'linux') {
    for (const pid of fs.readdirSync('/proc')) {
      if (!/^\d+$/.test(pid)) continue
      try {
        const stat = fs.readFileSync('/proc/' + pid + '/stat', 'latin1')
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
        add(pid, fields[1], fields[0], fields[19])
      } catch {}
    }
  } else {
    const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid=,stat=,lstart='], { encoding: 'utf8' })
    for (const line of (stdout || '').split('\n')) {
      const match = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.+?)\s*$/.exec(line)
      if (match) add(match[1], match[2], match[3], match[4])
    }
  }
  return found
}

function send(pid, signal) {
  try { process.kill(pid, signal) } catch {}
}

function end() {
  const now = Date.now()
  const running = table()
  const targets = []
  for (const ward of wards.values()) {
    const root = ward.child && running.get(ward.child)
    if (!root || root.started !== ward.started) continue
    const family = [root]
    for (const member of family) {
      for (const entry of running.values()) if (entry.parent === member.pid) family.push(entry)
    }
    for (const member of family) {
      send(member.pid, 'SIGCONT')
      targets.push({ ...member, killAt: now + ward.killAfter })
    }
    send(root.pid, ward.stopSignal)
  }
  wait(targets, now)
}

function wait(targets, since) {
  const running = table()
  const now = Date.now()
  const left = targets.filter((target) => running.get(target.pid)?.started === target.started)
  for (const target of left) if (now >= target.killAt) send(target.pid, 'SIGKILL')
  const last = Math.max(since, ...left.map((target) => target.killAt)) + 10_000
  if (left.length > 0 && now < last) setTimeout(wait, 20, left, since)
  else sweep()
}

function sweep() {
  for (const ward of wards.values()) {
    if (!ward.folder) continue
    try { fs.rmSync(ward.folder, { recursive: true, force: true, maxRetries: 5 }) } catch {}
  }
  process.exit(0)
}
`
