import { Anchor, BriefcaseBusiness } from 'lucide-react'
import { type FormEvent, useState } from 'react'
import { Link, Navigate, useNavigate, useSearchParams } from 'react-router'
import { type Account, signInSchema } from '../../../contract/account.ts'
import { useMe, useSignIn } from '../data/account.ts'
import { useSystemStatus } from '../data/system-status.ts'
import { button } from '../ui/button.ts'
import { TextInput } from '../ui/field.tsx'
import { checkForm, type FieldErrors, focusFirstError } from '../ui/form.ts'
import { InlineProblem, useHeldBack } from '../ui/inline-problem.tsx'
import { AuthFrame, nextPath } from './auth-frame.tsx'

const homeOf = ({ role }: Account) => (role === 'employer' ? '/employer' : '/')

export function SignInPage() {
  const { data: me } = useMe()
  const [params] = useSearchParams()
  const navigate = useNavigate()
  const signIn = useSignIn()
  const heldBack = useHeldBack(signIn.error)
  const [errors, setErrors] = useState<FieldErrors>({})
  if (me && !signIn.isPending) return <Navigate replace to={nextPath(params, homeOf(me))} />

  const enter = (email: string, password: string) =>
    signIn.mutate(
      { email, password },
      { onSuccess: (account) => void navigate(nextPath(params, homeOf(account)), { replace: true }) },
    )
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const checked = checkForm(signInSchema, Object.fromEntries(new FormData(event.currentTarget)), {
      email: 'Enter your e-mail address.',
      password: 'Enter your password.',
    })
    setErrors(checked.errors ?? {})
    if (checked.errors) focusFirstError(event.currentTarget)
    else enter(checked.data.email, checked.data.password)
  }
  const busy = signIn.isPending || heldBack
  return (
    <AuthFrame
      title="Sign in"
      lead="Good to see you again."
      below={
        <>
          <DemoAccounts disabled={busy} onChoose={(email) => enter(email, 'harbour-lights')} />
          <p className="mt-6 text-center text-sm text-soft">
            New here?{' '}
            <Link
              to={`/sign-up${params.size > 0 ? `?${params}` : ''}`}
              className="font-medium text-sea underline underline-offset-2"
            >
              Create an account
            </Link>
          </p>
        </>
      }
    >
      <form noValidate onSubmit={submit} className="space-y-4">
        <TextInput
          label="E-mail"
          name="email"
          type="email"
          autoComplete="username"
          inputMode="email"
          error={errors.email}
        />
        <TextInput
          label="Password"
          name="password"
          type="password"
          autoComplete="current-password"
          error={errors.password}
        />
        <InlineProblem error={signIn.error} />
        <button type="submit" className={`${button()} w-full`} disabled={busy}>
          {signIn.isPending ? 'Signing in' : 'Sign in'}
        </button>
      </form>
    </AuthFrame>
  )
}

const DEMO = [
  { email: 'seeker@harbour.example', label: 'Portia, looking for work', icon: Anchor },
  { email: 'employer@harbour.example', label: 'Devon, hiring', icon: BriefcaseBusiness },
] as const

/** Two doors for visitors of the demo; elsewhere the accounts do not exist and nothing is shown. */
function DemoAccounts({
  disabled,
  onChoose,
}: {
  readonly disabled: boolean
  readonly onChoose: (email: string) => void
}) {
  const { data } = useSystemStatus(false)
  if (!data || data.actions.length === 0) return null
  return (
    <section
      aria-labelledby="demo-accounts"
      className="arrive mt-4 rounded-card border border-line bg-sunken p-5"
    >
      <h2 id="demo-accounts" className="text-sm font-semibold">
        Just looking around?
      </h2>
      <p className="mt-0.5 mb-3 text-sm text-soft">
        Open two windows, one account in each, and watch them talk.
      </p>
      <div className="grid gap-2">
        {DEMO.map(({ email, label, icon: Icon }) => (
          <button
            key={email}
            type="button"
            disabled={disabled}
            onClick={() => onChoose(email)}
            className={`${button('secondary')} justify-start!`}
          >
            <Icon aria-hidden size={18} className="text-sea" />
            {label}
          </button>
        ))}
      </div>
    </section>
  )
}
