import type { Account, Role, SignUp } from '../../contract/account.ts'
import type { Queryable } from '../database/queryable.ts'

interface AccountRow {
  readonly id: string
  readonly name: string
  readonly email: string
  readonly role: Role
  readonly company_id: string | null
  readonly company: string | null
}

/** An account as the server knows it: what the web sees, and the company it acts for. */
export interface KnownAccount extends Account {
  readonly companyId: string | null
}

const SELECT = `select a.id, a.name, a.email, a.role, a.company_id, c.name as company
  from accounts a left join companies c on c.id = a.company_id`

/** Creates the account, and the company it names; `undefined` when the address is taken. */
export async function createAccount(
  transaction: Queryable,
  signUp: SignUp,
  passwordHash: string,
): Promise<KnownAccount | undefined> {
  const taken = await transaction.query('select from accounts where email = $1', [signUp.email])
  if (taken.rowCount) return undefined
  const company =
    signUp.role === 'employer'
      ? await transaction.query<{ id: string }>('insert into companies (name) values ($1) returning id', [
          signUp.company,
        ])
      : undefined
  // Two sign-ups with one address may race past the look above; the unique index decides, and the loser's
  // company goes with its transaction.
  const { rows } = await transaction.query<{ id: string }>(
    `insert into accounts (email, password_hash, name, role, company_id) values ($1, $2, $3, $4, $5)
     on conflict (email) do nothing returning id`,
    [signUp.email, passwordHash, signUp.name, signUp.role, company?.rows[0]?.id ?? null],
  )
  return rows[0] ? await accountById(transaction, rows[0].id) : undefined
}

export async function accountById(db: Queryable, id: string): Promise<KnownAccount | undefined> {
  const { rows } = await db.query<AccountRow>(`${SELECT} where a.id = $1`, [id])
  return rows[0] && accountOf(rows[0])
}

export async function credentialsByEmail(
  db: Queryable,
  email: string,
): Promise<{ readonly account: KnownAccount; readonly passwordHash: string } | undefined> {
  const { rows } = await db.query<AccountRow & { password_hash: string }>(
    `${SELECT.replace('select', 'select a.password_hash,')} where a.email = $1`,
    [email],
  )
  return rows[0] && { account: accountOf(rows[0]), passwordHash: rows[0].password_hash }
}

/** What leaves the server: everything but the company's id. */
export function publicAccount({ companyId: _, ...account }: KnownAccount): Account {
  return account
}

function accountOf(row: AccountRow): KnownAccount {
  return {
    id: row.id,
    name: row.name,
    email: row.email,
    role: row.role,
    company: row.company,
    companyId: row.company_id,
  }
}
