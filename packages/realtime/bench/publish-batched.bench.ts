import { publishing } from './publish.ts'

export const benchmark = publishing(1, 0.5)
