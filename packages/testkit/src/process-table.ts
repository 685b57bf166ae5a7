import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

export interface ProcessEntry {
  readonly pid: number
  readonly parent: number
  /** Opaque; together with the pid it names one process for ever, however often pids are reused. */
  readonly started: string
  readonly state: 'running' | 'stopped' | 'zombie'
}

/** The process with that pid now, or `undefined`. Reads `/proc` on Linux and asks `ps` elsewhere. */
export function readProcess(pid: number): ProcessEntry | undefined {
  return process.platform === 'linux' ? readStat(pid) : listWithPs(['-p', String(pid)])[0]
}

/** Every process that `root` started, directly or through others, `root` excluded. */
export function descendantsOf(root: number): readonly ProcessEntry[] {
  const children = new Map<number, ProcessEntry[]>()
  for (const entry of process.platform === 'linux' ? listProc() : listWithPs(['-A'])) {
    const siblings = children.get(entry.parent)
    if (siblings) siblings.push(entry)
    else children.set(entry.parent, [entry])
  }
  const found: ProcessEntry[] = []
  const queue = [root]
  for (let pid = queue.pop(); pid !== undefined; pid = queue.pop()) {
    for (const child of children.get(pid) ?? []) {
      found.push(child)
      queue.push(child.pid)
    }
  }
  return found
}

function listProc(): ProcessEntry[] {
  return readdirSync('/proc').flatMap((name) => {
    const entry = /^\d+$/.test(name) ? readStat(Number(name)) : undefined
    return entry ? [entry] : []
  })
}

// proc(5): the command, in parentheses, may itself hold spaces and parentheses; fields count from the last one.
function readStat(pid: number): ProcessEntry | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return undefined
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state = '', parent = ''] = fields
  return { pid, parent: Number(parent), started: fields[19] ?? '', state: stateOf(state) }
}

function listWithPs(selection: readonly string[]): ProcessEntry[] {
  const { stdout } = spawnSync('ps', [...selection, '-o', 'pid=,ppid=,stat=,lstart='], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
  })
  return (stdout ?? '').split('\n').flatMap((line) => {
    const match = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.+?)\s*$/.exec(line)
    if (!match) return []
    const [, pid, parent, state = '', started = ''] = match
    return [{ pid: Number(pid), parent: Number(parent), started, state: stateOf(state) }]
  })
}

function stateOf(letters: string): ProcessEntry['state'] {
  if (/^[ZX]/.test(letters)) return 'zombie'
  return /^[Tt]/.test(letters) ? 'stopped' : 'running'
}
