import { streaming } from './streaming.ts'

export const benchmark = streaming(50, 64)
