export type { BrokerHealth } from './broker.ts'
export type { CallContext } from './connection-host.ts'
export {
  type Contract,
  defineContract,
  type EphemeralEvent,
  type EventContract,
  ephemeral,
  type HistoryOptions,
  type MethodContract,
  type RoomContract,
  type Schema,
  type SchemaResult,
  unchecked,
} from './contract.ts'
export {
  createPublisher,
  type Publisher,
  type PublisherOptions,
  type PublishingUser,
} from './create-publisher.ts'
export { createRealtime } from './create-realtime.ts'
export { REALTIME_ERRORS, RealtimeError, type RealtimeErrorCode } from './errors.ts'
export type { SharedMemory } from './memory-rooms.ts'
export type {
  AuthenticateAttempt,
  Authorize,
  AuthorizeContext,
  AuthorizeRule,
  CompressionOptions,
  Grant,
  Identity,
  LimitOptions,
  PresenceOptions,
  RealtimeOptions,
} from './options.ts'
export type { Position, PresenceMember } from './protocol.ts'
export type {
  DisconnectOptions,
  DrainOptions,
  Realtime,
  RealtimeConnection,
  RealtimeEvents,
  RealtimeHealth,
  RealtimeUser,
} from './realtime-types.ts'
export type { RedisClient } from './redis-client.ts'
export type { PublishingRoom, PublishOptions } from './room-publisher.ts'
export type { Taker, TokenBucketOptions } from './token-bucket.ts'
