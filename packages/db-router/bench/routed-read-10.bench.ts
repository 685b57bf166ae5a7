import { routedRead } from './routed-read.ts'

export const benchmark = routedRead(10)
