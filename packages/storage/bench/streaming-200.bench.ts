import { streaming } from './streaming.ts'

export const benchmark = streaming(200, 2)
