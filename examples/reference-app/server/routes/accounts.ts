import { Router } from 'express'
import { signInSchema, signUpSchema } from '../../contract/account.ts'
import { accountOf, clearSessionCookie, sessionOf, setSessionCookie } from '../auth/authenticate.ts'
import { createAccount, credentialsByEmail, publicAccount } from '../domain/accounts.ts'
import { bodyOf } from '../http/input.ts'
import { HttpProblem } from '../http/problem.ts'
import type { Services } from '../services.ts'

/** Sign up, sign in, and the sessions of an account. */
export function accountRoutes({ db, passwords, sessions, live, limits, config }: Services): Router {
  const router = Router()
  const userAgent = (header: string | undefined) => (header ?? 'unknown').slice(0, 200)

  router.post('/accounts', async (req, res) => {
    const signUp = bodyOf(req, signUpSchema)
    const passwordHash = await passwords.hash(signUp.password)
    const account = await db.transaction((transaction) => createAccount(transaction, signUp, passwordHash))
    if (!account) {
      throw new HttpProblem('validation', {
        errors: { email: 'There is an account with this address already.' },
      })
    }
    const { token } = await sessions.create(account, userAgent(req.headers['user-agent']))
    setSessionCookie(res, token, config.secureCookies)
    res.status(201).json(publicAccount(account))
  })

  router.post('/sessions', async (req, res) => {
    const { email, password } = bodyOf(req, signInSchema)
    await limits.guess(email)
    const found = await credentialsByEmail(db, email)
    const matches = await passwords.verify(found?.passwordHash, password)
    if (!found || !matches) {
      throw new HttpProblem('unauthenticated', { title: 'This address and password do not go together.' })
    }
    const { token } = await sessions.create(found.account, userAgent(req.headers['user-agent']))
    setSessionCookie(res, token, config.secureCookies)
    res.status(201).json(publicAccount(found.account))
  })

  // Nobody is an answer, not an error: every page asks, and most visitors only look.
  router.get('/me', (req, res) => {
    const account = sessionOf(req)?.account
    res.json(account ? publicAccount(account) : null)
  })

  router.get('/sessions', async (req, res) => {
    const { id } = accountOf(req)
    const current = sessionOf(req)?.id
    const all = await sessions.list(id)
    res.json(
      all.map((session) => ({
        id: session.id,
        current: session.id === current,
        createdAt: new Date(session.createdAt).toISOString(),
        lastSeenAt: new Date(session.lastSeenAt).toISOString(),
        userAgent: session.userAgent,
      })),
    )
  })

  router.delete('/sessions/:id', async (req, res) => {
    const account = accountOf(req)
    const current = sessionOf(req)?.id
    const id = req.params.id === 'current' ? current : req.params.id
    if (!id || !(await sessions.revoke(account.id, id))) throw new HttpProblem('not-found')
    if (id === current) clearSessionCookie(res, config.secureCookies)
    // Sockets end with it too; those of the account's other sessions come back by themselves.
    await live.disconnect(account.id)
    res.status(204).end()
  })

  router.post('/realtime/tokens', (req, res) => {
    res.status(201).json(live.issueToken(accountOf(req).id))
  })

  return router
}
