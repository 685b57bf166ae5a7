import { channel, tracingChannel } from 'node:diagnostics_channel'
import { type ChannelDeclaration, type Operation, onChannelDeclared, type Point } from './tracing.ts'

/** What a telemetry system does with one operation: called at its start, answers what to do at its end. */
export type OperationSink = (operation: Operation) => (seconds: number) => void
export type PointSink = (point: Point) => void

export interface TelemetrySink {
  operation(declaration: ChannelDeclaration): OperationSink
  point(declaration: ChannelDeclaration): PointSink
}

/** Subscribes a telemetry system to every channel of the family, those declared later included. */
export function bridge(sink: TelemetrySink): Disposable {
  const subscriptions: Disposable[] = []
  subscriptions.push(
    onChannelDeclared((declaration) => {
      subscriptions.push(
        declaration.kind === 'operation'
          ? subscribeOperation(declaration.name, sink.operation(declaration))
          : subscribePoint(declaration.name, sink.point(declaration)),
      )
    }),
  )
  return {
    [Symbol.dispose]() {
      for (const subscription of subscriptions.splice(0)) subscription[Symbol.dispose]()
    },
  }
}

function subscribeOperation(name: string, sink: OperationSink): Disposable {
  // Weak, so that an operation that never ends is not kept alive by its telemetry.
  const running = new WeakMap<object, { readonly started: number; readonly end: (seconds: number) => void }>()
  const handlers = {
    start(message: unknown) {
      running.set(message as object, { started: performance.now(), end: sink(message as Operation) })
    },
    asyncEnd(message: unknown) {
      const run = running.get(message as object)
      if (!run) return
      running.delete(message as object)
      run.end((performance.now() - run.started) / 1_000)
    },
    end() {},
    asyncStart() {},
    error() {},
  }
  const tracing = tracingChannel(name)
  tracing.subscribe(handlers)
  return { [Symbol.dispose]: () => void tracing.unsubscribe(handlers) }
}

function subscribePoint(name: string, sink: PointSink): Disposable {
  const publish = (message: unknown) => sink(message as Point)
  const source = channel(name)
  source.subscribe(publish)
  return { [Symbol.dispose]: () => void source.unsubscribe(publish) }
}

/** The bounded label for a failure: its code, or the name of its class. */
export function errorType(error: unknown): string {
  const code = (error as { code?: unknown } | null | undefined)?.code
  if (typeof code === 'string') return code
  return error instanceof Error ? error.name : '_OTHER'
}
