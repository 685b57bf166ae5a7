export type { TestkitErrorCode } from './errors.ts'
export { TESTKIT_ERRORS, TestkitError } from './errors.ts'
export type { SuperviseOptions } from './guardian.ts'
export { superviseChild, superviseFolder } from './guardian.ts'
