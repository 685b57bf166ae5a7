import { channel, tracingChannel } from 'node:diagnostics_channel'
import { SpanKind } from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import * as prometheus from 'prom-client'
import { describe, expect, it, vi } from 'vitest'
import { CaysError } from '../../src/error.ts'
import { bridgeOpenTelemetry } from '../../src/otel.ts'
import { bridgePrometheus } from '../../src/prometheus.ts'
import { declaredChannels, operationChannel, pointChannel } from '../../src/tracing.ts'

const get = operationChannel('cays:unit-test:get', 'One lookup.')
const evicted = pointChannel('cays:unit-test:evicted', 'event', 'An entry was evicted.')
const size = pointChannel('cays:unit-test:size', 'gauge', 'Entries held.')

function lookUp(outcome: string, fail?: unknown): Promise<string> {
  const operation = { instance: 'shop', attributes: { tier: 'l1' }, outcome }
  return get.trace(operation, async () => {
    if (fail) throw fail
    return 'value'
  })
}

describe('channels', () => {
  it('are inactive until somebody subscribes, and again afterwards', () => {
    expect(get.active).toBe(false)
    const handlers = { start() {}, end() {}, asyncStart() {}, asyncEnd() {}, error() {} }
    tracingChannel(get.name).subscribe(handlers)
    expect(get.active).toBe(true)
    tracingChannel(get.name).unsubscribe(handlers)
    expect(get.active).toBe(false)
    const listener = () => {}
    channel(evicted.name).subscribe(listener)
    expect(evicted.active).toBe(true)
    channel(evicted.name).unsubscribe(listener)
    expect(evicted.active).toBe(false)
  })

  it('are listed once, across copies of the module', async () => {
    vi.resetModules()
    const copy = await import('../../src/tracing.ts')
    copy.operationChannel('cays:unit-test:get', 'Declared again by a second copy.')
    copy.operationChannel('cays:unit-test:other', 'Declared by the copy alone.')
    expect(declaredChannels().get('cays:unit-test:get')?.description).toBe('One lookup.')
    expect(declaredChannels().has('cays:unit-test:other')).toBe(true)
  })
})

describe('OpenTelemetry bridge', () => {
  it('makes a span and a duration per operation, and stops when disposed', async () => {
    const spans = new InMemorySpanExporter()
    const tracer = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }).getTracer(
      'test',
    )
    const metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const reader = new PeriodicExportingMetricReader({ exporter: metrics, exportIntervalMillis: 60_000 })
    const meter = new MeterProvider({ readers: [reader] }).getMeter('test')
    {
      using _bridge = bridgeOpenTelemetry({ tracer, meter })
      await lookUp('hit')
      await expect(lookUp('failed', new CaysError('X_ERR_DOWN', 'secret detail'))).rejects.toThrow()
      evicted.publish({ instance: 'shop', attributes: { reason: 'size' } })
      size.publish({ instance: 'shop', attributes: {}, value: 7 })
      const late = operationChannel('cays:unit-test:late', 'Declared after the bridge was built.')
      await late.trace({ instance: 'shop', attributes: {} }, async () => 1)
    }
    await lookUp('after dispose')
    expect(
      spans
        .getFinishedSpans()
        .map((span) => [
          span.name,
          span.attributes['cays.outcome'],
          span.attributes['error.type'],
          span.status.code,
        ]),
    ).toEqual([
      ['cays.unit_test.get', 'hit', undefined, 0],
      ['cays.unit_test.get', 'failed', 'X_ERR_DOWN', 2],
      ['cays.unit_test.late', undefined, undefined, 0],
    ])
    expect(JSON.stringify(spans.getFinishedSpans().map((span) => span.attributes))).not.toContain('secret')
    await reader.forceFlush()
    const collected = metrics
      .getMetrics()
      .flatMap((resource) => resource.scopeMetrics.flatMap((scope) => scope.metrics))
    const named = (name: string) => collected.find((metric) => metric.descriptor.name === name)
    expect(named('cays.unit_test.get.duration')?.dataPoints).toHaveLength(2)
    expect(named('cays.unit_test.evicted')?.dataPoints).toMatchObject([
      { value: 1, attributes: { reason: 'size' } },
    ])
    expect(named('cays.unit_test.size')?.dataPoints).toMatchObject([{ value: 7 }])
    await reader.shutdown()
  })
})

describe('OpenTelemetry bridge, for what has a convention', () => {
  it('goes by that, and keeps details out of metrics', async () => {
    const spans = new InMemorySpanExporter()
    const tracer = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }).getTracer(
      'test',
    )
    const metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const reader = new PeriodicExportingMetricReader({ exporter: metrics, exportIntervalMillis: 60_000 })
    const meter = new MeterProvider({ readers: [reader] }).getMeter('test')
    const statement = operationChannel('cays:unit-test:statement', 'One statement.', {
      duration: 'db.client.operation.duration',
      span: 'db.operation.name',
    })
    {
      using _bridge = bridgeOpenTelemetry({ tracer, meter })
      const operation = {
        instance: 'shop',
        attributes: { 'db.operation.name': 'SELECT' },
        details: { waited: 0.25 },
      }
      await statement.trace(operation, async () => 1)
    }
    const [span] = spans.getFinishedSpans()
    expect([span?.name, span?.kind, span?.attributes.waited]).toEqual(['SELECT', SpanKind.CLIENT, 0.25])
    await reader.forceFlush()
    const [metric] = metrics
      .getMetrics()
      .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((s) => s.metrics))
    expect(metric?.descriptor.name).toBe('db.client.operation.duration')
    expect(metric?.dataPoints[0]?.attributes).toEqual({
      'db.operation.name': 'SELECT',
      'cays.instance': 'shop',
    })
    expect(metric?.dataPoints[0]?.value).toMatchObject({
      buckets: { boundaries: expect.arrayContaining([0.001]) },
    })
    await reader.shutdown()
  })
})

describe('Prometheus bridge', () => {
  it('exposes histograms, counters and gauges with bounded labels', async () => {
    const register = new prometheus.Registry()
    using _bridge = bridgePrometheus({ client: prometheus, register })
    await lookUp('hit')
    await expect(lookUp('failed', new TypeError('x'))).rejects.toThrow()
    evicted.publish({ instance: 'shop', attributes: { reason: 'size', tier: 'l1' } })
    size.publish({ instance: 'shop', attributes: {}, value: 7 })
    const text = await register.metrics()
    expect(text).toContain(
      'cays_unit_test_get_duration_seconds_count{instance="shop",outcome="hit",error=""} 1',
    )
    expect(text).toContain(
      'cays_unit_test_get_duration_seconds_count{instance="shop",outcome="failed",error="TypeError"} 1',
    )
    expect(text).toContain('cays_unit_test_evicted_total{instance="shop",detail="reason=size,tier=l1"} 1')
    expect(text).toContain('cays_unit_test_size{instance="shop",detail=""} 7')
  })

  it('counts every occurrence, those of a frozen point that is published again and again too', async () => {
    const register = new prometheus.Registry()
    using _bridge = bridgePrometheus({ client: prometheus, register })
    const again = Object.freeze({ instance: 'shop', attributes: { reason: 'size' } })
    for (let i = 0; i < 3; i++) evicted.publish(again)
    evicted.publish({ instance: 'shop', attributes: { reason: 'size' } })
    evicted.publish({ instance: 'other', attributes: { reason: 'size' } })
    for (const scrape of [1, 2]) {
      const text = await register.metrics()
      expect(text, `scrape ${scrape}`).toContain(
        'cays_unit_test_evicted_total{instance="shop",detail="reason=size"} 4',
      )
      expect(text).toContain('cays_unit_test_evicted_total{instance="other",detail="reason=size"} 1')
    }
  })
})
