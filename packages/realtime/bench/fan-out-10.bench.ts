import { fanOut } from './fan-out.ts'

export const benchmark = fanOut(10, 0.2)
