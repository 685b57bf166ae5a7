import type { Request, RequestHandler, Response } from 'express'
import type { Role } from '../../contract/account.ts'
import type { KnownAccount } from '../domain/accounts.ts'
import { HttpProblem } from '../http/problem.ts'
import { SESSION_LIFETIME, type Session, type Sessions } from './sessions.ts'
import { isToken } from './token.ts'

const COOKIE = 'harbour_session'
const signedIn = new WeakMap<Request, Session>()

/** Finds out who asks. A request without a session, or with one that ended, goes on as a visitor's. */
export function authenticate(sessions: Sessions): RequestHandler {
  return async (req, _res, next) => {
    const token = tokenOf(req)
    const session = token ? await sessions.find(token) : undefined
    if (session) signedIn.set(req, session)
    next()
  }
}

export function sessionOf(req: Request): Session | undefined {
  return signedIn.get(req)
}

/** The account that asks; throws 401 without one, 403 when it has another role. */
export function accountOf(req: Request, role?: Role): KnownAccount {
  const session = signedIn.get(req)
  if (!session) throw new HttpProblem('unauthenticated')
  if (role && session.account.role !== role) {
    throw new HttpProblem('forbidden', {
      detail: role === 'employer' ? 'Only employers can do this.' : 'Only job seekers can do this.',
    })
  }
  return session.account
}

/** The employer that asks, with the company it acts for. */
export function employerOf(
  req: Request,
): KnownAccount & { readonly companyId: string; readonly company: string } {
  const account = accountOf(req, 'employer')
  const { companyId, company } = account
  if (companyId === null || company === null) throw new HttpProblem('forbidden')
  return { ...account, companyId, company }
}

export function setSessionCookie(res: Response, token: string, secure: boolean): void {
  res.cookie(COOKIE, token, { httpOnly: true, sameSite: 'lax', secure, path: '/', maxAge: SESSION_LIFETIME })
}

export function clearSessionCookie(res: Response, secure: boolean): void {
  res.clearCookie(COOKIE, { httpOnly: true, sameSite: 'lax', secure, path: '/' })
}

function tokenOf(req: Request): string | undefined {
  for (const pair of (req.headers.cookie ?? '').slice(0, 8_192).split(';')) {
    const at = pair.indexOf('=')
    if (pair.slice(0, at).trim() === COOKIE) {
      const value = pair.slice(at + 1).trim()
      return isToken(value) ? value : undefined
    }
  }
  return undefined
}
