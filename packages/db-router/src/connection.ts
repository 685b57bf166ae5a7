import type pg from 'pg'
import type { PasswordFor, ServerAddress } from './options.ts'

/** One open connection to a server. */
export interface Connection {
  readonly client: pg.Client
  /** Connections of an older generation are not used again. */
  readonly generation: number
  /** `performance.now()` when it was ready. */
  connectedAt: number
  /** It broke or was closed. */
  dead: boolean
  /** Statements or transactions it has served. */
  uses: number
  /** `performance.now()` when it was last given back. */
  idleSince: number
  /** Statements under way that share it. */
  shared: number
  /** It takes no more of them: somebody waits to have it alone, or it is to be closed. */
  draining: boolean
  /** `performance.now()` of the last answer to one of them. */
  answeredAt: number
  /** Names of the statements prepared on it. */
  readonly prepared: Set<string>
}

/** A pipelining client sends a statement without waiting for the answer to the one before. Only while it is idle. */
export function pipelining(connection: Connection, on: boolean): void {
  ;(connection.client as { pipeline: boolean }).pipeline = on
}

/** `pg` takes a function, but a connection string without a password makes it forget the one it was given. */
export function answerPassword(client: pg.Client, password: PasswordFor | undefined): void {
  if (!password) return
  ;(client as { password: unknown }).password = ({ host, port, user, database }: ServerAddress) =>
    password({ host, port, user, database })
}

interface ParameterStatus {
  readonly parameterName: string
  readonly parameterValue: string
}

/** From Postgres 14 on a server says whether it is a standby to each new client, and with the next answer when it changes. */
export function onStandby(client: pg.Client, listener: (standby: boolean) => void): void {
  const connection = client.connection as unknown as NodeJS.EventEmitter
  connection.on('parameterStatus', ({ parameterName, parameterValue }: ParameterStatus) => {
    if (parameterName === 'in_hot_standby') listener(parameterValue === 'on')
  })
}

/** Ends a connection without a goodbye. */
export function cut(client: pg.Client): void {
  ;(client.connection.stream as { destroy(): void }).destroy()
}

/** `pg` can hold the process or let it go, but its types do not say so. */
export function refer(client: pg.Client): { ref(): void; unref(): void } {
  return client as unknown as { ref(): void; unref(): void }
}
