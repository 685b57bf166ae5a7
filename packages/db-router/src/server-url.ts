const URL_PATTERN = /^(postgres(?:ql)?:\/\/(?:[^@/?#]*@)?)([^/?#]*)(.*)$/s

/** What libpq reads from a URL with several hosts. Roles are observed here, so it decides nothing. */
const OF_LIBPQ = ['target_session_attrs', 'load_balance_hosts']

/** A URL for each host of a libpq URL such as `postgres://app@one,two:5433/app`; `undefined` when it is none. */
export function serverUrls(text: string): readonly string[] | undefined {
  const match = URL_PATTERN.exec(text)
  if (!match) return undefined
  const [, start = '', hosts = '', rest = ''] = match
  const urls = hosts.split(',').map((host) => withoutAttributes(`${start}${host}${rest}`))
  return urls.every((url) => URL.canParse(url)) ? urls : undefined
}

/** The same server as `url` in all but where it is. */
export function atAddress(url: string, host: string, port: number | undefined): string {
  const match = URL_PATTERN.exec(url)
  if (!match) return url
  const [, start = '', hosts = '', rest = ''] = match
  const own = /:(\d+)$/.exec(hosts)?.[1]
  const at = port ?? own
  return `${start}${host.includes(':') ? `[${host}]` : host}${at === undefined ? '' : `:${at}`}${rest}`
}

function withoutAttributes(url: string): string {
  if (!OF_LIBPQ.some((name) => url.includes(name)) || !URL.canParse(url)) return url
  const parsed = new URL(url)
  for (const name of OF_LIBPQ) parsed.searchParams.delete(name)
  return parsed.href
}
