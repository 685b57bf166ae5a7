import { existsSync } from 'node:fs'
import { join, sep } from 'node:path'
import express, { type Express, Router } from 'express'
import expressStaticGzip from 'express-static-gzip'
import helmet from 'helmet'
import type { Logger } from 'pino'
import { authenticate } from './auth/authenticate.ts'
import { closeWhenDraining, healthRoutes } from './http/health.ts'
import { notFound, problemHandler } from './http/problem.ts'
import { sameOriginWrites } from './http/same-origin.ts'
import { accountRoutes } from './routes/accounts.ts'
import { applicationRoutes } from './routes/applications.ts'
import { jobRoutes } from './routes/jobs.ts'
import { notificationRoutes } from './routes/notifications.ts'
import { statusRoutes } from './routes/status.ts'
import type { Services } from './services.ts'
import type { Activity } from './status/activity.ts'

export interface AppParts {
  readonly services: Services
  readonly activity: Activity
  readonly log: Logger
  /** Folder of the built web app. */
  readonly web: string
}

/** The HTTP side of one node: who asks, whether it may, what it gets. */
export function createApp({ services, activity, log, web }: AppParts): Express {
  const { config, readiness, status, sessions, limits, db } = services
  const app = express()
  app.disable('x-powered-by')
  app.set('trust proxy', config.trustedProxies)
  app.set('query parser', 'simple')

  app.use(closeWhenDraining(readiness))
  app.use(healthRoutes(readiness, () => ({ node: config.name, databases: status.own().databases })))
  app.use(securityHeaders(config.bucket.endpoint))

  const api = Router()
  api.use((_req, res, next) => {
    // Answers depend on who asks; shared caches between browser and app must not keep them.
    res.set('Cache-Control', 'private, no-cache')
    next()
  })
  api.use(activity.middleware)
  api.use(statusRoutes(services))
  api.use(sameOriginWrites(config.origins))
  api.use(authenticate(sessions))
  api.use(limits.api)
  api.use(express.json({ limit: '64kb', strict: true }))
  api.use(db.middleware())
  api.use(['/accounts', '/sessions'], onlyFor('POST', limits.credentials))
  api.use(accountRoutes(services))
  api.use(jobRoutes(services))
  api.use(applicationRoutes(services))
  api.use(notificationRoutes(services))
  api.use(notFound)
  app.use('/api/v1', api)

  app.use(webApp(web))
  app.use(notFound)
  app.use(problemHandler(log))
  return app
}

function onlyFor(method: string, handlers: readonly express.RequestHandler[]): express.RequestHandler {
  const router = Router()
  for (const handler of handlers) router.use(handler)
  return (req, res, next) => (req.method === method ? router(req, res, next) : next())
}

function securityHeaders(bucket: string): express.RequestHandler {
  const origin = new URL(bucket).origin
  return helmet({
    contentSecurityPolicy: {
      directives: {
        'default-src': ["'self'"],
        // Uploads go straight to the bucket, sockets to the page's own host.
        'connect-src': ["'self'", 'ws:', 'wss:', origin],
        'img-src': ["'self'", 'data:'],
        'style-src': ["'self'", "'unsafe-inline'"],
        'script-src': ["'self'"],
        'frame-ancestors': ["'none'"],
        'upgrade-insecure-requests': null,
      },
    },
    // A workshop on plain http://localhost must not teach the browser to insist on https there.
    strictTransportSecurity: false,
  })
}

/** The built pages, in the smallest form a browser takes: hashed assets for a year, the page itself asked for each time. */
function webApp(web: string): Router {
  const router = Router()
  const page = join(web, 'index.html')
  const hashed = join(web, 'assets') + sep
  router.use(
    expressStaticGzip(web, {
      enableBrotli: true,
      orderPreference: ['br', 'gzip'],
      index: false,
      serveStatic: {
        setHeaders: (res, path) => {
          res.setHeader(
            'Cache-Control',
            path.startsWith(hashed) ? 'public, max-age=31536000, immutable' : 'no-cache',
          )
        },
      },
    }),
  )
  router.get(/^\/(?!api\/|assets\/|health\/|rt$).*/, (req, res, next) => {
    if (!req.accepts('html') || !existsSync(page)) return next()
    res.set('Cache-Control', 'no-cache').sendFile(page)
  })
  return router
}
