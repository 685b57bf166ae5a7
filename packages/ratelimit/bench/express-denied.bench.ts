import { expressRequests } from './express-requests.ts'

export const benchmark = expressRequests('by remembered denials', 0.9)
