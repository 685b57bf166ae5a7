import type { CallContext, ToldFailure } from './connection-host.ts'
import type { Contract } from './contract.ts'
import { RealtimeError } from './errors.ts'

type Handler = (input: unknown, context: CallContext) => unknown

/** The methods clients may call, with the checks of the contract around each. */
export class Methods {
  readonly #contract: Contract | undefined
  readonly #handlers = new Map<string, Handler>()

  constructor(contract: Contract | undefined) {
    this.#contract = contract
  }

  register(method: string, handler: Handler): Disposable {
    if (this.#contract && !Object.hasOwn(this.#contract.rpc ?? {}, method)) {
      throw new RealtimeError('REALTIME_ERR_UNKNOWN_METHOD', 'the contract has no such method')
    }
    if (this.#handlers.has(method)) {
      throw new RealtimeError('REALTIME_ERR_UNKNOWN_METHOD', 'the method has a handler already')
    }
    this.#handlers.set(method, handler)
    return { [Symbol.dispose]: () => void this.#handlers.delete(method) }
  }

  async call(method: string, input: unknown, context: CallContext): Promise<unknown> {
    const handler = this.#handlers.get(method)
    if (!handler) throw new RealtimeError('REALTIME_ERR_UNKNOWN_METHOD', 'no such method')
    const rpc = this.#contract?.rpc
    const declared = rpc && Object.hasOwn(rpc, method) ? rpc[method] : undefined
    if (!declared) return await handler(input, context)
    const checked = await declared.input['~standard'].validate(input)
    if (checked.issues) {
      throw new RealtimeError('REALTIME_ERR_INVALID_DATA', "the input does not fit the method's schema")
    }
    const output = await handler(checked.value, context)
    if (!declared.output) return output
    const result = await declared.output['~standard'].validate(output)
    // The app's own mistake, not the caller's.
    if (result.issues) throw new TypeError("the method's result does not fit its schema")
    return result.value
  }

  /** What a client learns about a failure: our own codes, or what the app marked with `expose: true`. */
  tell(error: unknown, report: (where: 'call', error: unknown) => void): ToldFailure {
    if (error instanceof RealtimeError) {
      const code = error.code.slice('REALTIME_ERR_'.length).toLowerCase()
      return { code, message: error.message, retryable: error.retryable }
    }
    const { expose, code, message, retryable } = (error ?? {}) as Readonly<Record<string, unknown>>
    if (expose === true && typeof code === 'string') {
      return { code, message: typeof message === 'string' ? message : code, retryable: retryable === true }
    }
    report('call', error)
    return { code: 'internal', message: 'internal error', retryable: true }
  }
}
