import { Router } from 'express'
import { accountOf } from '../auth/authenticate.ts'
import { markNotificationsRead, notificationsOf } from '../domain/notifications.ts'
import type { Services } from '../services.ts'

export function notificationRoutes({ db }: Services): Router {
  const router = Router()
  router.get('/notifications', async (req, res) => {
    res.json(await notificationsOf(db, accountOf(req).id))
  })
  router.post('/notifications/read', async (req, res) => {
    await markNotificationsRead(db, accountOf(req).id)
    res.status(204).end()
  })
  return router
}
