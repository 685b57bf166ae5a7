import { expressRequests } from './express-requests.ts'

export const benchmark = expressRequests('by leases', 0.9)
