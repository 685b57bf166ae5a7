import type { Attributes, Meter, Tracer } from '@opentelemetry/api'
import { bridge, errorType } from './telemetry-bridge.ts'
import type { Operation, Point } from './tracing.ts'

/** Where spans and metrics go. */
export interface OpenTelemetryOptions {
  /** From `trace.getTracer(...)`; without it no spans are made. */
  readonly tracer?: Tracer
  /** From `metrics.getMeter(...)`; without it nothing is measured. */
  readonly meter?: Meter
}

// SpanStatusCode.ERROR and SpanKind.CLIENT, spelled out so that this entry needs the API package for its types alone.
const STATUS_ERROR = 2
const KIND_CLIENT = 2

/** Of histograms, in seconds, as the conventions advise: the API's own suit milliseconds. */
const BOUNDARIES = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]

/**
 * Turns the telemetry of every Cays package in this process into OpenTelemetry spans and metrics.
 *
 * Spans are named after the channel (`cays.cache.get`) and take the context that is current when the
 * operation starts. Durations go to the histogram `<name>.duration` in seconds, occurrences to a counter,
 * values to a gauge. What OpenTelemetry has a convention for goes by that: a statement is a client span named
 * after its command, its duration `db.client.operation.duration`. Attributes of metrics are bounded sets; spans
 * have the details as well. Neither holds a key, a user or SQL text. Dispose it to unsubscribe.
 */
export function bridgeOpenTelemetry(options: OpenTelemetryOptions): Disposable {
  const { tracer, meter } = options
  return bridge({
    operation({ name, description, convention }) {
      const metric = dotted(name)
      const durations = meter?.createHistogram(convention?.duration ?? `${metric}.duration`, {
        unit: 's',
        description,
        advice: { explicitBucketBoundaries: BOUNDARIES },
      })
      return (operation) => {
        const span = tracer?.startSpan(convention ? String(operation.attributes[convention.span]) : metric, {
          attributes: attributesOf(operation),
          ...(convention ? { kind: KIND_CLIENT } : {}),
        })
        return (seconds) => {
          const attributes = attributesOf(operation)
          durations?.record(seconds, attributes)
          span?.setAttributes({ ...attributes, ...operation.details })
          if (operation.error !== undefined) span?.setStatus({ code: STATUS_ERROR })
          span?.end()
        }
      }
    },
    point({ name, kind, description }) {
      const metric = dotted(name)
      const counter = kind === 'event' ? meter?.createCounter(metric, { description }) : undefined
      const gauge = kind === 'gauge' ? meter?.createGauge(metric, { description }) : undefined
      return (point) => {
        const attributes = attributesOf(point)
        counter?.add(1, attributes)
        if (point.value !== undefined) gauge?.record(point.value, attributes)
      }
    },
  })
}

function attributesOf(message: Operation | Point): Attributes {
  const attributes: Attributes = { ...message.attributes, 'cays.instance': message.instance }
  if ('outcome' in message && message.outcome !== undefined) attributes['cays.outcome'] = message.outcome
  if ('error' in message && message.error !== undefined) attributes['error.type'] = errorType(message.error)
  return attributes
}

function dotted(channelName: string): string {
  return channelName.replaceAll(':', '.').replaceAll('-', '_')
}
