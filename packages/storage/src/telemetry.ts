import { type Operation, type OperationChannel, operationChannel } from '@cays/core/tracing'
import { StorageError } from './errors.ts'

export type StorageOperation =
  | 'put'
  | 'get'
  | 'download'
  | 'head'
  | 'list'
  | 'delete'
  | 'copy'
  | 'issue'
  | 'resume'
  | 'complete'
  | 'sweep'
  | 'variants'

const ENDS = 'Attribute: cays.bucket, the name the app gave it. Outcome: ok, or the code of the error.'

export const CHANNELS: Readonly<Record<StorageOperation, OperationChannel>> = {
  put: operationChannel('cays:storage:put', `A write, its wait for memory included. ${ENDS}`),
  get: operationChannel('cays:storage:get', `A read, until the first byte. ${ENDS}`),
  download: operationChannel(
    'cays:storage:download',
    `A read over several connections, until the file is there or the first byte can be read. ${ENDS}`,
  ),
  head: operationChannel('cays:storage:head', `A look at the headers of one object. ${ENDS}`),
  list: operationChannel('cays:storage:list', `One page of a list. ${ENDS}`),
  delete: operationChannel('cays:storage:delete', `A deletion of any number of objects. ${ENDS}`),
  copy: operationChannel('cays:storage:copy', `A copy inside a bucket. ${ENDS}`),
  issue: operationChannel(
    'cays:storage:issue',
    'An upload ticket was asked for. Attributes: cays.bucket, cays.upload (the name of the definition). Outcome: ok, the reason of a refusal, or the code of the error.',
  ),
  resume: operationChannel(
    'cays:storage:resume',
    'New URLs for an interrupted upload were asked for. Attributes: cays.bucket, cays.upload (the name of the definition). Outcome: ok, the reason of a refusal, or the code of the error.',
  ),
  complete: operationChannel(
    'cays:storage:complete',
    'An upload was proven, or not. Attributes: cays.bucket, cays.upload (the name of the definition). Outcome: ok, the reason of a refusal, or the code of the error.',
  ),
  sweep: operationChannel(
    'cays:storage:sweep',
    'What uploads left behind was dropped, in all buckets. Outcome: ok, or the code of the error.',
  ),
  variants: operationChannel(
    'cays:storage:variants',
    `The variants of one picture were made or found, their wait for a turn included. ${ENDS}`,
  ),
}

/** Runs `work`, and publishes its start and end when somebody listens. */
export function traced<T>(
  name: StorageOperation,
  instance: string,
  attributes: Record<string, string>,
  work: () => Promise<T>,
  outcomeOf: (result: T) => string = () => 'ok',
): Promise<T> {
  const channel = CHANNELS[name]
  if (!channel.active) return work()
  const operation: Operation = { instance, attributes: { ...attributes } }
  return channel.trace(operation, async () => {
    try {
      const result = await work()
      operation.outcome = outcomeOf(result)
      return result
    } catch (error) {
      operation.outcome = error instanceof StorageError ? error.code : 'aborted'
      throw error
    }
  })
}
