export type { CallContext } from './connection-host.ts'
export {
  type Contract,
  defineContract,
  ephemeral,
  type HistoryOptions,
  type MethodContract,
  type RoomContract,
  type Schema,
  unchecked,
} from './contract.ts'
export { createPublisher, type Publisher, type PublisherOptions } from './create-publisher.ts'
export { createRealtime } from './create-realtime.ts'
export { REALTIME_ERRORS, RealtimeError, type RealtimeErrorCode } from './errors.ts'
export type {
  AuthenticateAttempt,
  Authorize,
  AuthorizeContext,
  Grant,
  Identity,
  LimitOptions,
  RealtimeOptions,
} from './options.ts'
export type { Position } from './protocol.ts'
export type { Realtime, RealtimeEvents, RealtimeHealth } from './realtime-types.ts'
export type { PublishingRoom, PublishOptions } from './room-publisher.ts'
