import {
  Activity,
  Flame,
  HeartPulse,
  type LucideIcon,
  Power,
  RotateCw,
  Send,
  Snowflake,
  Timer,
  Unplug,
} from 'lucide-react'
import { useEffect, useState } from 'react'
import type { DemoAction, DemoActionName, RequestTrace } from '../../../contract/status.ts'
import { problemFrom } from '../data/api.ts'
import { effects, NO_HISTORY, type Sample, type SystemHistory, withStatus } from '../data/system-history.ts'
import { useDemoAction, useSystemStatus } from '../data/system-status.ts'
import { toast } from '../data/toasts.ts'
import { sendTraffic, type TrafficKind } from '../data/traffic.ts'
import { Badge } from '../ui/badge.tsx'
import { button } from '../ui/button.ts'
import { count } from '../ui/format.ts'
import { type ChartSeries, LineChart } from '../ui/line-chart.tsx'
import { ProblemNotice } from '../ui/notice.tsx'
import { Page } from '../ui/page.tsx'
import { PageSkeleton } from '../ui/skeletons.tsx'
import { SystemMap } from '../ui/system-map.tsx'

export function StatusPage() {
  const { data, error, refetch } = useSystemStatus(1_000)
  const [history, setHistory] = useState<SystemHistory>(NO_HISTORY)
  useEffect(() => {
    if (data) setHistory((before) => withStatus(before, data))
  }, [data])
  if (!data || history.nodes.length === 0) {
    return error ? (
      <Page title="Under the hood">
        <ProblemNotice heading="h1" error={error} onRetry={refetch} />
      </Page>
    ) : (
      <PageSkeleton />
    )
  }
  return (
    <Page
      title="Under the hood"
      heading="Under the hood"
      lead="This is the system that serves you right now, drawn from what it says about itself once a second."
      actions={<Figures history={history} stale={error !== null} />}
    >
      <div className="grid items-start gap-5 lg:grid-cols-[minmax(0,1fr)_19rem]">
        <section aria-labelledby="map-heading" className="card min-w-0 p-4 sm:p-5">
          <div className="mb-4 flex flex-wrap items-center justify-between gap-3">
            <h2 id="map-heading" className="font-semibold">
              The path of each request
            </h2>
            <Traffic />
          </div>
          <SystemMap history={history} />
        </section>
        <div className="grid gap-5">
          {data.actions.length > 0 && <BreakThings actions={data.actions} />}
          <Events history={history} demo={data.actions.length > 0} />
        </div>
      </div>
      <Charts history={history} />
      <Recent traces={history.recent.slice(0, 14)} />
    </Page>
  )
}

function Figures({ history, stale }: { readonly history: SystemHistory; readonly stale: boolean }) {
  return (
    <p className="flex flex-wrap items-center gap-x-4 gap-y-1 text-sm text-soft tabular-nums">
      <span>
        <strong className="font-semibold text-ink">{count(history.seen)}</strong>{' '}
        {history.seen === 1 ? 'request' : 'requests'} since you came
      </span>
      <span>
        <strong className={`font-semibold ${history.failed > 0 ? 'text-coral' : 'text-reef'}`}>
          {count(history.failed)}
        </strong>{' '}
        failed
      </span>
      {stale && <Badge tone="dune">Waiting for an answer</Badge>}
    </p>
  )
}

function Traffic() {
  const [running, setRunning] = useState(false)
  const send = async (kind: TrafficKind, requests: number, atOnce: number) => {
    setRunning(true)
    const { served, limited, failed } = await sendTraffic(kind, requests, atOnce)
    setRunning(false)
    const parts = [
      `${count(served)} answered`,
      ...(limited > 0 ? [`${count(limited)} held back by the limit`] : []),
      `${count(failed)} failed`,
    ]
    toast(`${parts.join(', ')}.`, { tone: failed > 0 ? 'problem' : 'done' })
  }
  return (
    <div className="flex flex-wrap gap-2">
      <button
        type="button"
        className={button('primary', 'small')}
        disabled={running}
        onClick={() => void send('reads', 60, 4)}
      >
        <Send aria-hidden size={15} />
        Send 60 reads
      </button>
      <button
        type="button"
        className={button('secondary', 'small')}
        disabled={running}
        onClick={() => void send('flood', 200, 6)}
      >
        <Flame aria-hidden size={15} />
        Flood it
      </button>
    </div>
  )
}

const ICONS: Readonly<Record<DemoActionName, LucideIcon>> = {
  'kill-replica': Power,
  'freeze-replica': Snowflake,
  'add-lag': Timer,
  'stop-redis': Unplug,
  'restart-node': RotateCw,
  heal: HeartPulse,
}

function BreakThings({ actions }: { readonly actions: readonly DemoAction[] }) {
  const act = useDemoAction()
  const press = ({ name, label, expect }: DemoAction) =>
    act.mutate(name, {
      onSuccess: () => toast(`${label}: ${expect}`),
      onError: (error) => toast(problemFrom(error).detail ?? problemFrom(error).title, { tone: 'problem' }),
    })
  return (
    <section aria-labelledby="break-heading" className="card p-4 sm:p-5">
      <h2 id="break-heading" className="font-semibold">
        Break something
      </h2>
      <p className="mt-0.5 mb-3 text-sm text-soft">
        And keep using Harbour. After a minute it heals by itself.
      </p>
      <ul className="grid gap-2 min-[30rem]:grid-cols-2 lg:grid-cols-1">
        {actions.map((action) => {
          const Icon = ICONS[action.name]
          return (
            <li key={action.name}>
              <button
                type="button"
                title={action.expect}
                aria-pressed={action.name === 'heal' ? undefined : action.active}
                disabled={act.isPending || action.active}
                onClick={() => press(action)}
                className={`${button(action.name === 'heal' ? 'primary' : 'secondary', 'small')} w-full justify-start! ${action.active ? 'border-coral! bg-coral-wash! text-coral! opacity-100!' : ''}`}
              >
                <Icon aria-hidden size={16} className="flex-none" />
                <span className="truncate">{action.label}</span>
                {action.active && <span className="ml-auto text-xs font-semibold">now</span>}
              </button>
            </li>
          )
        })}
      </ul>
    </section>
  )
}

const TONES = { good: 'bg-reef', bad: 'bg-coral-vivid', plain: 'bg-edge' } as const
const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' })

function Events({ history, demo }: { readonly history: SystemHistory; readonly demo: boolean }) {
  return (
    <section aria-labelledby="events-heading" className="card p-4 sm:p-5">
      <h2 id="events-heading" className="font-semibold">
        What it means
      </h2>
      <Effects history={history} />
      <ol aria-live="polite" className="mt-3 space-y-2.5 border-t border-line pt-3 text-sm">
        {history.events.length === 0 && (
          <li className="text-soft">
            {demo
              ? 'All is calm. Break something and read here how it goes on.'
              : 'All is calm since you opened this page.'}
          </li>
        )}
        {history.events.slice(0, 3).map(({ id, at, text, tone }) => (
          <li key={id} className="arrive flex gap-2.5">
            <span aria-hidden className={`mt-1.5 size-2 flex-none rounded-full ${TONES[tone]}`} />
            <span>
              {text} <span className="text-faint tabular-nums">{clock.format(new Date(at))}</span>
            </span>
          </li>
        ))}
      </ol>
    </section>
  )
}

/** What all this means for a visitor, now. */
function Effects({ history }: { readonly history: SystemHistory }) {
  const sentences = effects(history)
  return (
    <div role="status" className="mt-2 space-y-2 text-sm">
      {sentences.length === 0 ? (
        <p className="rounded-card bg-reef-wash px-3 py-2 text-reef">Now: everything works.</p>
      ) : (
        sentences.map((sentence) => (
          <p key={sentence} className="rounded-card bg-dune-wash px-3 py-2 text-dune">
            {sentence}
          </p>
        ))
      )}
    </div>
  )
}

const COLORS = ['--color-sea', '--color-coral-vivid', '--color-reef', '--color-dune'] as const
const SPAN = 90

function Charts({ history }: { readonly history: SystemHistory }) {
  const { samples } = history
  const times = samples.map(({ at }) => at)
  const named = (
    names: readonly string[],
    read: (sample: Sample, name: string) => number | null | undefined,
  ) =>
    names.map(
      (name, index): ChartSeries => ({
        label: name,
        color: COLORS[index % COLORS.length] ?? '--color-sea',
        values: samples.map((sample) => read(sample, name) ?? null),
      }),
    )
  const series = (label: string, color: string, read: (sample: Sample) => number): ChartSeries => ({
    label,
    color,
    values: samples.map(read),
  })
  const replicas = history.databases.filter(({ role }) => role === 'replica').map(({ name }) => name)
  return (
    <section aria-label="Charts of the last minutes" className="mt-5 grid gap-5 sm:grid-cols-2">
      <LineChart
        title="Replica lag"
        unit="ms"
        times={times}
        span={SPAN}
        atLeast={1_000}
        series={named(replicas, (sample, name) => sample.lag[name])}
      />
      <LineChart
        title="Cached reads"
        unit="a second"
        times={times}
        span={SPAN}
        atLeast={10}
        series={[
          series('Tier 1', '--color-sea', ({ cache }) => cache.l1),
          series('Tier 2', '--color-reef', ({ cache }) => cache.l2),
          series('Loaded', '--color-coral-vivid', ({ cache }) => cache.load),
          series('Stale', '--color-dune', ({ cache }) => cache.stale),
        ]}
      />
      <LineChart
        title="Open sockets"
        unit="now"
        times={times}
        span={SPAN}
        atLeast={4}
        series={named(
          history.nodes.map(({ name }) => name),
          (sample, name) => sample.sockets[name],
        )}
      />
      <LineChart
        title="Limiter decisions"
        unit="a second"
        times={times}
        span={SPAN}
        atLeast={10}
        series={[
          series('Allowed', '--color-sea', ({ limiter }) => limiter.allowed),
          series('Denied', '--color-coral-vivid', ({ limiter }) => limiter.denied),
        ]}
      />
    </section>
  )
}

const CACHE = { l1: 'Tier 1', l2: 'Tier 2', load: 'Loaded', stale: 'Stale' } as const

function Recent({ traces }: { readonly traces: readonly RequestTrace[] }) {
  return (
    <section aria-labelledby="recent-heading" className="mt-8">
      <h2 id="recent-heading" className="mb-3 flex items-center gap-2 text-lg font-semibold">
        Recent requests
      </h2>
      {traces.length === 0 ? (
        <p className="card flex items-center gap-2 px-5 py-6 text-soft">
          <Activity aria-hidden size={18} className="text-faint" />
          None yet. Send some reads, or use Harbour in another window.
        </p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
        <section className="card overflow-x-auto" aria-label="Table of recent requests" tabIndex={0}>
          <table className="w-full text-left text-sm whitespace-nowrap tabular-nums">
            <thead className="border-b border-line text-faint">
              <tr>
                {['Time', 'Request', 'Node', 'Cache', 'Databases', 'Answer', 'Took'].map((name) => (
                  <th key={name} scope="col" className="px-4 py-2.5 font-medium last:text-right">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody className="divide-y divide-line">
              {traces.map((trace) => (
                <tr key={trace.id}>
                  <td className="px-4 py-2 text-faint">{clock.format(new Date(trace.at))}</td>
                  <td className="px-4 py-2 font-medium">{trace.limited ? 'Held back' : trace.route}</td>
                  <td className="px-4 py-2">{trace.node}</td>
                  <td className="px-4 py-2">{trace.cache ? CACHE[trace.cache] : '–'}</td>
                  <td className="px-4 py-2">{trace.databases.join(', ') || '–'}</td>
                  <td className="px-4 py-2">
                    <Badge tone={trace.status >= 500 ? 'coral' : trace.status >= 400 ? 'dune' : 'reef'}>
                      {trace.status}
                    </Badge>
                  </td>
                  <td className="px-4 py-2 text-right">
                    {trace.took < 10 ? trace.took : Math.round(trace.took)} ms
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
    </section>
  )
}
