import { CaysError, type CaysErrorOptions, type ErrorTable } from '@cays/core/error'
import { OptionReader } from '@cays/core/options'

/** Every code that this package throws. */
export const TESTKIT_ERRORS = {
  TESTKIT_ERR_OPTIONS: {
    meaning: 'An option is unknown or has a value it cannot have. The message names it.',
    retryable: false,
  },
  TESTKIT_ERR_SERVER_MISSING: {
    meaning: 'The machine has no such server program. The message holds the command that installs it.',
    retryable: false,
  },
  TESTKIT_ERR_START_FAILED: {
    meaning: 'A server did not come up. The message ends with the last lines of its log.',
    retryable: true,
  },
  TESTKIT_ERR_TIMEOUT: {
    meaning: 'A server did not reach the awaited state in time. The message names the state.',
    retryable: true,
  },
  TESTKIT_ERR_STATE: {
    meaning:
      'The verb does not fit the state of the server: starting one that runs, pausing one that is down.',
    retryable: false,
  },
  TESTKIT_ERR_REPLY: {
    meaning:
      'A server answered a command or statement with an error, or hung up. The message or the `cause` has its answer.',
    retryable: false,
  },
  TESTKIT_ERR_CLOSED: {
    meaning: 'The servers were closed. Start new ones.',
    retryable: false,
  },
} as const satisfies ErrorTable

/** The `code` of a {@link TestkitError}. */
export type TestkitErrorCode = keyof typeof TESTKIT_ERRORS

/** Thrown by everything in this package: a test's set-up is wrong, or a server misbehaves. */
export class TestkitError extends CaysError<TestkitErrorCode> {
  static override readonly id: string = 'testkit.TestkitError'

  constructor(code: TestkitErrorCode, message: string, options: CaysErrorOptions = {}) {
    super(code, message, { retryable: TESTKIT_ERRORS[code].retryable, ...options })
  }
}

/** Reads the options of `subject`, and throws `TESTKIT_ERR_OPTIONS` at the first that is wrong. */
export function optionReader(subject: string): OptionReader {
  return new OptionReader(subject, (message) => new TestkitError('TESTKIT_ERR_OPTIONS', message))
}
