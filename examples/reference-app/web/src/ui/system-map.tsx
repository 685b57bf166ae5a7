import { AppWindow, Archive, Cpu, Database, type LucideIcon, Zap } from 'lucide-react'
import { type ReactNode, useEffect, useLayoutEffect, useRef, useState } from 'react'
import type { RequestTrace } from '../../../contract/status.ts'
import type { KnownNode, SystemHistory } from '../data/system-history.ts'
import { plural } from './format.ts'
import { type Box, layoutMap, type MapLayout } from './system-map-layout.ts'

/** How long a part stays lit after a request went through it, in milliseconds. */
const GLOW = 520
const HOP = 70
const POLL = 1_000

/** The running system as a drawing; each recent request lights the path it took. */
export function SystemMap({ history }: { readonly history: SystemHistory }) {
  const box = useRef<HTMLDivElement>(null)
  const [width, setWidth] = useState(0)
  useLayoutEffect(() => {
    const element = box.current
    if (!element) return
    const observer = new ResizeObserver(() => setWidth(element.clientWidth))
    observer.observe(element)
    setWidth(element.clientWidth)
    return () => observer.disconnect()
  }, [])
  useGlow(box, history.fresh)
  const { nodes, databases, redis, bucket } = history
  const map =
    width > 0
      ? layoutMap(
          width,
          nodes.map(({ name }) => name),
          databases.map(({ name }) => name),
          redis !== 'none',
        )
      : undefined
  return (
    <div
      ref={box}
      role="img"
      aria-label={describe(history)}
      className="relative w-full"
      style={{ height: map?.height ?? 400 }}
    >
      {map && (
        <>
          <Links map={map} history={history} />
          <Part id="browser" map={map} icon={AppWindow} title="Browsers" state="up">
            {nodes.reduce((sum, { state, status }) => sum + (state === 'away' ? 0 : status.sockets), 0)} live
          </Part>
          {nodes.map((node) => (
            <NodePart key={node.name} node={node} map={map} />
          ))}
          {redis !== 'none' && (
            <Part id="redis" map={map} icon={Zap} title="Redis" state={redis}>
              {redis === 'up' ? 'Tier 2, rooms, limits' : 'Away'}
            </Part>
          )}
          {databases.map(({ name, role, up, lagMilliseconds }) => (
            <Part
              key={name}
              id={name}
              map={map}
              icon={Database}
              title={name}
              state={up ? ((lagMilliseconds ?? 0) > 1_000 ? 'late' : 'up') : 'down'}
            >
              {!up ? (
                'Does not answer'
              ) : (
                <>
                  {role === 'replica' ? 'Replica' : 'Primary'}
                  {role === 'replica' && (
                    <span className="max-sm:block">
                      <span className="max-sm:hidden">, </span>
                      {lag(lagMilliseconds)}
                    </span>
                  )}
                </>
              )}
            </Part>
          ))}
          <Part id="bucket" map={map} icon={Archive} title="Bucket" state={bucket}>
            {bucket === 'up' ? 'Résumés' : 'Away'}
          </Part>
        </>
      )}
    </div>
  )
}

type PartState = 'up' | 'down' | 'late' | 'draining'

const DOTS: Readonly<Record<PartState, string>> = {
  up: 'bg-reef',
  late: 'bg-dune',
  draining: 'bg-dune',
  down: 'bg-coral-vivid',
}

function Part({
  id,
  map,
  icon: Icon,
  title,
  state,
  children,
}: {
  readonly id: string
  readonly map: MapLayout
  readonly icon: LucideIcon
  readonly title: string
  readonly state: PartState
  readonly children: ReactNode
}) {
  const place = map.boxes[id]
  if (!place) return null
  return (
    <div
      data-part={id}
      style={placed(place)}
      className={`absolute flex flex-col justify-center overflow-hidden rounded-card border bg-surface px-2.5 transition-colors duration-150 data-lit:border-coral-vivid data-lit:bg-coral-wash sm:px-3.5 ${state === 'down' ? 'border-coral border-dashed' : 'border-line'}`}
    >
      <p className="flex items-center gap-1.5 text-sm font-semibold sm:gap-2">
        <Icon aria-hidden size={16} className="hidden flex-none text-sea min-[26rem]:block" />
        <span className="truncate">{title}</span>
        <span aria-hidden className={`ml-auto size-2 flex-none rounded-full ${DOTS[state]}`} />
      </p>
      <p className="text-[0.8125rem] leading-snug text-soft tabular-nums sm:truncate">{children}</p>
    </div>
  )
}

function NodePart({ node, map }: { readonly node: KnownNode; readonly map: MapLayout }) {
  const place = map.boxes[node.name]
  if (!place) return null
  const { state, status } = node
  const away = state === 'away'
  const dot = away ? 'down' : state === 'draining' ? 'draining' : 'up'
  return (
    <div
      data-part={node.name}
      style={placed(place)}
      className={`absolute flex flex-col justify-center gap-1.5 rounded-card border bg-surface px-2.5 transition-colors duration-150 data-lit:border-coral-vivid sm:px-3.5 ${away ? 'border-coral border-dashed' : 'border-line'}`}
    >
      <p className="flex items-center gap-1.5 text-sm font-semibold sm:gap-2">
        <Cpu aria-hidden size={16} className="hidden flex-none text-sea min-[26rem]:block" />
        {node.name}
        <span aria-hidden className={`ml-auto size-2 flex-none rounded-full ${DOTS[dot]}`} />
      </p>
      <p className="truncate text-[0.8125rem] text-soft tabular-nums">
        {away ? 'Away' : state === 'draining' ? 'Draining' : plural(status.sockets, 'socket')}
        {!away && state !== 'draining' && (
          <span className="max-sm:hidden">, {Math.round(status.memory / 1024 / 1024)} MB</span>
        )}
      </p>
      <p className="flex gap-1.5 text-[0.8125rem]">
        <span
          data-part={`${node.name}/memory`}
          className="rounded-md bg-tag px-1.5 py-0.5 text-soft transition-colors duration-150 data-lit:bg-coral data-lit:text-page"
        >
          Tier 1
        </span>
        <span
          data-part={`${node.name}/limiter`}
          className="rounded-md bg-tag px-1.5 py-0.5 text-soft transition-colors duration-150 data-lit:bg-coral data-lit:text-page"
        >
          Limits
        </span>
      </p>
    </div>
  )
}

function Links({ map, history }: { readonly map: MapLayout; readonly history: SystemHistory }) {
  const down = new Set([
    ...history.databases.filter(({ up }) => !up).map(({ name }) => name),
    ...history.nodes.filter(({ state }) => state === 'away').map(({ name }) => name),
    ...(history.redis === 'down' ? ['redis'] : []),
    ...(history.bucket === 'down' ? ['bucket'] : []),
  ])
  return (
    <svg aria-hidden width={map.width} height={map.height} className="absolute inset-0">
      {map.links.map(({ id, from, to, path }) => (
        <path
          key={id}
          data-part={id}
          d={path}
          className={`fill-none stroke-line stroke-[1.5] transition-[stroke] duration-150 data-lit:stroke-coral-vivid data-lit:stroke-[2.5] ${down.has(from) || down.has(to) ? '[stroke-dasharray:3_5]' : ''}`}
        />
      ))}
    </svg>
  )
}

/** Lights what each new request touched, spread over the second until the next answer. */
function useGlow(box: { readonly current: HTMLElement | null }, fresh: readonly RequestTrace[]): void {
  const timers = useRef(new Map<Element, ReturnType<typeof setTimeout>>())
  const pending = useRef(new Set<ReturnType<typeof setTimeout>>())
  useEffect(() => {
    const start = Date.parse(fresh[0]?.at ?? '')
    const range = Math.max(1, Date.parse(fresh.at(-1)?.at ?? '') - start)
    for (const trace of fresh) {
      const offset = ((Date.parse(trace.at) - start) / range) * Math.min(range, POLL - 250)
      pathOf(trace).forEach((part, hop) => {
        const timer = setTimeout(
          () => {
            pending.current.delete(timer)
            light(box.current?.querySelector(`[data-part="${CSS.escape(part)}"]`), timers.current)
          },
          offset + hop * HOP,
        )
        pending.current.add(timer)
      })
    }
  }, [fresh, box])
  useEffect(
    () => () => {
      for (const timer of pending.current) clearTimeout(timer)
      for (const timer of timers.current.values()) clearTimeout(timer)
    },
    [],
  )
}

function light(part: Element | null | undefined, timers: Map<Element, ReturnType<typeof setTimeout>>): void {
  if (!part) return
  clearTimeout(timers.get(part))
  part.setAttribute('data-lit', '')
  timers.set(
    part,
    setTimeout(() => {
      part.removeAttribute('data-lit')
      timers.delete(part)
    }, GLOW),
  )
}

/** The parts a request went through, in order. */
function pathOf({ node, route, cache, databases, limited }: RequestTrace): readonly string[] {
  const path = ['browser', `browser>${node}`, node]
  if (limited) return [...path, `${node}/limiter`]
  if (cache === 'l1' || cache === 'stale') path.push(`${node}/memory`)
  if (cache === 'l2' || cache === 'load') path.push(`${node}>redis`, 'redis')
  for (const database of databases) path.push(`${node}>${database}`, database)
  if (route === 'POST /jobs/:id/applications') path.push(`${node}>bucket`, 'bucket')
  if (route === 'POST /uploads') path.push('browser>bucket', 'bucket')
  return path
}

function placed({ x, y, width, height }: Box) {
  return { left: x, top: y, width, height }
}

function lag(milliseconds: number | null): string {
  if (milliseconds === null) return 'lag unknown'
  if (milliseconds < 1_000) return `${Math.round(milliseconds)} ms`
  return `${(milliseconds / 1_000).toFixed(1)} s late`
}

function describe({ nodes, databases, redis, bucket }: SystemHistory): string {
  return [
    'Browsers talk to the nodes; nodes talk to Redis, the databases and the bucket.',
    ...nodes.map(({ name, state }) => `${name} is ${state}.`),
    ...databases.map(({ name, role, up }) => `${name}, ${role}, is ${up ? 'up' : 'down'}.`),
    redis === 'none' ? 'There is no Redis.' : `Redis is ${redis}.`,
    `The bucket is ${bucket}.`,
  ].join(' ')
}
