import { expressRequests } from './express-requests.ts'

export const benchmark = expressRequests('by Redis', 0.75)
