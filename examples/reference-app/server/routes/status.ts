import { Router } from 'express'
import { demoActionSchema } from '../../contract/status.ts'
import { HttpProblem } from '../http/problem.ts'
import type { Services } from '../services.ts'

/** The running system, for everyone to look at; it shows routes and counts, never whose they are. */
export function statusRoutes({ status }: Pick<Services, 'status'>): Router {
  const router = Router()
  router.get('/status', async (_req, res) => {
    res.set('Cache-Control', 'no-store').json(await status.system())
  })
  router.get('/status/node', (_req, res) => {
    res.set('Cache-Control', 'no-store').json(status.own())
  })
  router.post('/demo/:action', async (req, res) => {
    const action = demoActionSchema.safeParse(req.params.action)
    if (!action.success) throw new HttpProblem('not-found')
    res.status(202).json(await status.act(action.data))
  })
  return router
}
