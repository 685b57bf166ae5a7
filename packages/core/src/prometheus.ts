import type * as PrometheusClient from 'prom-client'
import { bridge, errorType } from './telemetry-bridge.ts'
import type { Operation, Point } from './tracing.ts'

/** Where series are registered. */
export interface PrometheusOptions {
  /** The app's own copy: `import * as client from 'prom-client'`. */
  readonly client: Pick<typeof PrometheusClient, 'Histogram' | 'Counter' | 'Gauge'>
  /** @default the client's global registry */
  readonly register?: PrometheusClient.Registry
  /** Upper bounds of the duration histograms, in seconds. @default from 0.5 ms to 10 s */
  readonly buckets?: readonly number[]
}

const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/**
 * Turns the telemetry of every Cays package in this process into Prometheus metrics.
 *
 * Operations become `cays_<package>_<operation>_duration_seconds` with the labels `instance`, `outcome` and
 * `error`; occurrences `…_total`, values gauges, both with `instance` and `detail` (the point's attributes,
 * sorted and joined, a bounded set). Metrics of disposed bridges stay registered with their last values.
 */
export function bridgePrometheus(options: PrometheusOptions): Disposable {
  const { client, register, buckets = BUCKETS } = options
  const registers = register ? { registers: [register] } : {}
  return bridge({
    operation({ name, description }) {
      const durations = new client.Histogram({
        name: `${snake(name)}_duration_seconds`,
        help: description,
        labelNames: ['instance', 'outcome', 'error'],
        buckets: [...buckets],
        ...registers,
      })
      return (operation) => (seconds) => durations.observe(operationLabels(operation), seconds)
    },
    point({ name, kind, description }) {
      const labelNames = ['instance', 'detail']
      if (kind === 'gauge') {
        const gauge = new client.Gauge({ name: snake(name), help: description, labelNames, ...registers })
        return (point) => {
          if (point.value !== undefined) gauge.set(pointLabels(point), point.value)
        }
      }
      const tallies = new Tallies()
      new client.Counter({
        name: `${snake(name)}_total`,
        help: description,
        labelNames,
        ...registers,
        collect() {
          for (const { labels, count } of tallies.take()) this.inc(labels, count)
        },
      })
      return (point) => tallies.count(point)
    },
  })
}

interface Tally {
  readonly labels: Record<string, string>
  count: number
}

/** Occurrences since the last scrape: hashing labels for each one would cost more than what is counted. */
class Tallies {
  readonly #tallies = new Map<string, Tally>()
  /** Of frozen points, which are published again and again. */
  readonly #ofPoint = new WeakMap<Point, Tally>()

  count(point: Point): void {
    const known = this.#ofPoint.get(point)
    if (known) {
      known.count++
      return
    }
    const labels = pointLabels(point)
    const id = JSON.stringify([labels.instance, labels.detail])
    const tally = this.#tallies.get(id) ?? { labels, count: 0 }
    tally.count++
    this.#tallies.set(id, tally)
    if (Object.isFrozen(point)) this.#ofPoint.set(point, tally)
  }

  /** What was counted since the last call. */
  take(): readonly Tally[] {
    const counted: Tally[] = []
    for (const tally of this.#tallies.values()) {
      if (tally.count > 0) counted.push({ ...tally })
      tally.count = 0
    }
    return counted
  }
}

function operationLabels(operation: Operation): Record<string, string> {
  return {
    instance: operation.instance,
    outcome: operation.outcome ?? '',
    error: operation.error === undefined ? '' : errorType(operation.error),
  }
}

function pointLabels(point: Point): Record<string, string> {
  const detail = Object.entries(point.attributes)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join(',')
  return { instance: point.instance, detail }
}

function snake(channelName: string): string {
  return channelName.replaceAll(':', '_').replaceAll('-', '_')
}
