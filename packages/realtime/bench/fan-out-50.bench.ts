import { fanOut } from './fan-out.ts'

export const benchmark = fanOut(50, 0.1)
