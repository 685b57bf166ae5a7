import { open, readFile, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { TestkitError } from './errors.ts'

/**
 * Cuts the last `count` entries off the append-only file of a server that is down, as if it had died before
 * they reached the disk. One entry is one write command, or one transaction or script with all its writes.
 * Cutting more than was written since the file was last rewritten leaves what the rewrite held.
 *
 * `folder` is the server's data folder; the layout is that of Redis 7 (a manifest, a base, increments).
 */
export async function cutAppendOnlyFile(folder: string, count: number): Promise<void> {
  const home = join(folder, 'appendonlydir')
  const manifest = await readFile(join(home, 'appendonly.aof.manifest'), 'utf8').catch((cause: unknown) => {
    throw new TestkitError(
      'TESTKIT_ERR_STATE',
      'this Redis keeps no append-only file, so that it has no tail to cut',
      { cause },
    )
  })
  const increments = [...manifest.matchAll(/^file (\S+) seq \d+ type i\b/gm)].map((match) => match[1] ?? '')
  let left = count
  for (const name of increments.reverse()) {
    if (left <= 0) break
    const path = join(home, name)
    const starts = entryStarts(await readFile(path))
    const keep = starts[Math.max(0, starts.length - left)]
    left -= starts.length
    if (keep === undefined) continue
    await truncate(path, keep)
    await flush(path)
  }
}

async function flush(path: string): Promise<void> {
  const file = await open(path, 'r+')
  await file.sync().finally(() => file.close())
}

/** Where each entry begins. `SELECT` and time stamps belong to the entry that follows them. */
export function entryStarts(bytes: Buffer): readonly number[] {
  const starts: number[] = []
  let begin: number | undefined
  let inTransaction = false
  for (let at = 0; at < bytes.length; ) {
    const command = commandAt(bytes, at)
    if (!command) break
    begin ??= at
    at = command.end
    if (command.name === 'MULTI') inTransaction = true
    if (command.name === 'EXEC') inTransaction = false
    if (inTransaction || command.name === 'SELECT' || command.name === '') continue
    starts.push(begin)
    begin = undefined
  }
  return starts
}

// The name is upper case, and '' for a comment line. Undefined where the file ends within a command.
function commandAt(
  bytes: Buffer,
  start: number,
): { readonly name: string; readonly end: number } | undefined {
  let end = lineEnd(bytes, start)
  if (bytes[start] === COMMENT) return end < 0 ? undefined : { name: '', end }
  const count = numberAt(bytes, start, end)
  let name = ''
  for (let index = 0; index < count; index++) {
    const body = lineEnd(bytes, end)
    const bodyEnd = body + numberAt(bytes, end, body)
    if (index === 0) name = bytes.toString('latin1', body, bodyEnd).toUpperCase()
    end = bodyEnd + 2
    if (body < 0 || end > bytes.length) return undefined
  }
  return end < 0 ? undefined : { name, end }
}

const COMMENT = 0x23

// A line such as `$12`: its number, without the sign in front.
function numberAt(bytes: Buffer, start: number, end: number): number {
  return end < 0 ? 0 : Number(bytes.toString('latin1', start + 1, end - 2))
}

// The end of the line with its line break, or -1.
function lineEnd(bytes: Buffer, start: number): number {
  const at = bytes.indexOf('\r\n', start)
  return at < 0 ? -1 : at + 2
}
