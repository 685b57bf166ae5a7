import { fanOut } from './fan-out.ts'

export const benchmark = fanOut(1, 0.75)
