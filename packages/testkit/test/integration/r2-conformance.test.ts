import { startR2 } from '@cays/testkit'
import { s3Conformance } from '../conformance/s3.suite.ts'

s3Conformance({ name: 'the R2 emulator', start: () => startR2() })
