import { constants, existsSync, readdirSync, readFileSync } from 'node:fs'
import { access, rm, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join, resolve } from 'node:path'
import { run } from './processes.mjs'

/**
 * The servers that come from the machine and not from npm. `commands` must all be found (a list is a choice),
 * `uses` marks the test files that need the part, `services` are what Debian would start with the machine.
 */
export const parts = [
  {
    name: 'redis',
    commands: [['redis-server', 'valkey-server']],
    apt: ['redis-server'],
    services: ['redis-server'],
    dnf: ['valkey'],
    brew: ['redis'],
    uses: /\bstartRedis\b/,
  },
  {
    name: 'pgbouncer',
    commands: ['pgbouncer'],
    apt: ['pgbouncer'],
    services: ['pgbouncer'],
    dnf: ['pgbouncer'],
    brew: ['pgbouncer'],
    uses: /\bstartPgBouncer\b/i,
  },
  {
    name: 'postgres-15',
    commands: ['/usr/lib/postgresql/15/bin/postgres'],
    apt: ['postgresql-15'],
    services: ['postgresql'],
    uses: /\bversion: '?15\b|\/usr\/lib\/postgresql\/15/,
  },
  {
    name: 'ceph',
    commands: ['ceph-mon', 'ceph-osd', 'radosgw', 'radosgw-admin', 'ceph', 'ceph-authtool', 'monmaptool'],
    apt: ['ceph-mon', 'ceph-osd', 'radosgw', 'ceph-common'],
    services: ['radosgw'],
    uses: /\bstart(?:Ceph|Rgw)\w*/i,
  },
  {
    name: 'chromium',
    commands: [['chromium', 'chromium-browser', 'google-chrome']],
    apt: ['chromium'],
    dnf: ['chromium'],
    brew: ['chromium'],
    uses: /['"]playwright-core['"]/,
  },
]

const FOLDERS = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']

/** The path of a program, also of one that Debian keeps out of a normal user's PATH. */
export function findCommand(name) {
  const candidates = name.startsWith('/') ? [name] : FOLDERS.map((folder) => join(folder, name))
  return candidates.find((path) => existsSync(path))
}

export function missingParts(names = parts.map(({ name }) => name)) {
  return parts.filter(
    ({ name, commands }) =>
      names.includes(name) && !commands.every((choice) => [choice].flat().some(findCommand)),
  )
}

/** The one command that installs what is missing on this machine, for a person to type. */
export function installCommand(missing, { root = process.getuid?.() === 0 } = {}) {
  const sudo = root ? '' : 'sudo '
  const managers = [
    ['apt', 'apt-get', `${sudo}apt-get install -y --no-install-recommends`],
    ['dnf', 'dnf', `${sudo}dnf install -y`],
    ['brew', 'brew', 'brew install'],
  ]
  const [key, , command] = managers.find(([, program]) => findCommand(program)) ?? managers[0]
  const names = missing.flatMap((part) => part[key] ?? [])
  return names.length > 0 ? `${command} ${names.join(' ')}` : undefined
}

/**
 * Installs missing parts with apt where that needs no question: as root on a Debian-like system. Their
 * services are neither started nor enabled, so no default port is taken. Answers what is still missing.
 */
export async function installParts(log = () => {}, names = undefined) {
  const missing = missingParts(names)
  if (missing.length === 0 || process.getuid?.() !== 0 || !findCommand('apt-get')) return missing
  const packages = missing.flatMap(({ apt }) => apt)
  log(`installing ${packages.join(' ')}`)
  await withoutServices(async () => {
    const apt = (...args) =>
      run('apt-get', args, { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
    await apt('update')
    const install = ['install', '-y', '--no-install-recommends']
    const all = await apt(...install, ...packages)
    if (all.code === 0) return
    // One package that this distribution does not have must not cost the others.
    for (const part of missing) {
      const { code, output } = await apt(...install, ...part.apt)
      if (code !== 0) log(`${part.name} could not be installed: ${output.trim().split('\n').at(-1)}`)
    }
  })
  const stillMissing = missingParts(names)
  const added = missing.filter((part) => !stillMissing.includes(part))
  const services = added.flatMap((part) => part.services ?? [])
  if (services.length > 0 && findCommand('systemctl')) await run('systemctl', ['disable', ...services])
  return stillMissing
}

/** Debian asks /usr/sbin/policy-rc.d before it starts a service; 101 means "not allowed". */
async function withoutServices(work) {
  const policy = '/usr/sbin/policy-rc.d'
  const present = await access(policy, constants.F_OK).then(
    () => true,
    () => false,
  )
  if (!present) await writeFile(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    await work()
  } finally {
    if (!present) await rm(policy, { force: true })
  }
}

/**
 * The test files, relative to `root`, that need one of the named parts themselves or through a file of the
 * repository they import. `npm test` passes the names in CAYS_MISSING and vitest leaves these files out.
 */
export function testsNeeding(names, root) {
  const marks = parts.filter(({ name }) => names.includes(name)).map(({ uses }) => uses)
  if (marks.length === 0) return []
  const needs = new Map()
  const check = (file) => {
    if (needs.has(file)) return needs.get(file)
    needs.set(file, false)
    const text = readFileSync(file, 'utf8')
    const imported = [...text.matchAll(/(?:from|import) '(\.[^']+\.ts)'/g)]
      .map(([, path]) => resolve(dirname(file), path))
      .filter((path) => path.includes('/test/') && existsSync(path))
    const answer = marks.some((mark) => mark.test(text)) || imported.some(check)
    needs.set(file, answer)
    return answer
  }
  const folders = ['packages', 'examples'].flatMap((group) =>
    readdirSync(join(root, group)).map((name) => join(group, name, 'test')),
  )
  return folders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.test.ts'))
        .map((file) => join(folder, file)),
    )
    .filter((file) => check(join(root, file)))
}
