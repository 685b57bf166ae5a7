import { publishing } from './publish.ts'

export const benchmark = publishing(256, 1.25)
