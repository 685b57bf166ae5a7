export type { TestkitErrorCode } from './errors.ts'
export { TESTKIT_ERRORS, TestkitError } from './errors.ts'
export type { FaultDirection } from './fault-connection.ts'
export type { FaultProxy, FaultProxyStats, Faults } from './fault-proxy.ts'
export type { SuperviseOptions } from './guardian.ts'
export { superviseChild, superviseFolder } from './guardian.ts'
export type {
  PostgresCatchupOptions,
  PostgresCluster,
  PostgresConflictOptions,
  PostgresFailoverOptions,
  PostgresSynchronousOptions,
} from './postgres-cluster.ts'
export type { PostgresLogEntry } from './postgres-log.ts'
export type {
  PostgresFreezeOptions,
  PostgresNode,
  PostgresRepointOptions,
  PostgresStopOptions,
  PostgresUpstream,
  PostgresVerbOptions,
} from './postgres-node.ts'
export type { PostgresRow, PostgresSqlOptions } from './postgres-session.ts'
export type { PostgresSettings } from './postgres-settings.ts'
export type { R2CorsRule } from './r2-cors.ts'
export type { R2Exchange } from './r2-exchange.ts'
export type { R2Fault } from './r2-faults.ts'
export type { R2Permission } from './r2-identity.ts'
export type { R2Operation } from './r2-operation.ts'
export type { R2Credentials, R2Options } from './r2-options.ts'
export type { R2Server } from './r2-server.ts'
export type { ClusterRedis, ClusterSlots } from './redis-cluster.ts'
export type { RedisArgument, RedisReply } from './redis-command.ts'
export type { RedisFailoverOptions } from './redis-failover.ts'
export type { RedisGroupVerbs } from './redis-group.ts'
export type { MigrateSlotOptions } from './redis-migrate.ts'
export type {
  ClusterRedisOptions,
  CommonRedisOptions,
  SentinelRedisOptions,
  StandaloneRedisOptions,
} from './redis-options.ts'
export type { SentinelRedis } from './redis-sentinel.ts'
export type { RedisSentinel } from './redis-sentinel-process.ts'
export type {
  RedisClientType,
  RedisNode,
  RedisRestartOptions,
  RedisSettings,
  RedisVerbs,
} from './redis-verbs.ts'
export type { FaultProxyOptions, FaultProxyTarget } from './start-fault-proxy.ts'
export { startFaultProxy } from './start-fault-proxy.ts'
export type { PostgresOptions } from './start-postgres.ts'
export { startPostgres } from './start-postgres.ts'
export { startR2 } from './start-r2.ts'
export type { StandaloneRedis } from './start-redis.ts'
export { startRedis } from './start-redis.ts'
