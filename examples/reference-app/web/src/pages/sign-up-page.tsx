import { type FormEvent, useState } from 'react'
import { Link, Navigate, useNavigate, useSearchParams } from 'react-router'
import { type Role, signUpSchema } from '../../../contract/account.ts'
import { useMe, useSignUp } from '../data/account.ts'
import { button } from '../ui/button.ts'
import { TextInput } from '../ui/field.tsx'
import { checkForm, type FieldErrors, focusFirstError, serverErrors } from '../ui/form.ts'
import { InlineProblem, useHeldBack } from '../ui/inline-problem.tsx'
import { AuthFrame, nextPath } from './auth-frame.tsx'

const ROLES = [
  { value: 'seeker', title: 'I look for work', text: 'Apply and follow it live' },
  { value: 'employer', title: 'I hire', text: 'Post jobs, meet people' },
] as const

export function SignUpPage() {
  const { data: me } = useMe()
  const [params] = useSearchParams()
  const navigate = useNavigate()
  const signUp = useSignUp()
  const heldBack = useHeldBack(signUp.error)
  const [role, setRole] = useState<Role>('seeker')
  const [checkErrors, setErrors] = useState<FieldErrors>({})
  if (me && !signUp.isPending)
    return <Navigate replace to={nextPath(params, me.role === 'employer' ? '/employer' : '/')} />

  const fromServer = serverErrors(signUp.error)
  const errors: FieldErrors = { ...fromServer, ...checkErrors }
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = event.currentTarget
    const values = Object.fromEntries(new FormData(form))
    const checked = checkForm(
      signUpSchema,
      role === 'employer' ? values : { ...values, company: undefined },
      {
        email: 'Enter an e-mail address, like name@example.com.',
        company: 'Name the company that hires.',
      },
    )
    setErrors(checked.errors ?? {})
    if (checked.errors) return focusFirstError(form)
    signUp.mutate(checked.data, {
      onSuccess: (account) =>
        void navigate(nextPath(params, account.role === 'employer' ? '/employer' : '/'), { replace: true }),
      onError: () => focusFirstError(form),
    })
  }
  return (
    <AuthFrame
      title="Create an account"
      lead="One minute, and you are aboard."
      below={
        <p className="mt-6 text-center text-sm text-soft">
          You have one?{' '}
          <Link
            to={`/sign-in${params.size > 0 ? `?${params}` : ''}`}
            className="font-medium text-sea underline underline-offset-2"
          >
            Sign in
          </Link>
        </p>
      }
    >
      <form noValidate onSubmit={submit} className="space-y-4">
        <fieldset>
          <legend className="mb-1.5 text-sm font-medium">What brings you here?</legend>
          <div className="grid grid-cols-2 gap-2">
            {ROLES.map(({ value, title, text }) => (
              <label
                key={value}
                className="cursor-pointer rounded-card border border-edge px-3 py-2.5 has-checked:border-sea has-checked:bg-sea-wash has-focus-visible:outline-2 has-focus-visible:outline-offset-2 has-focus-visible:outline-sea"
              >
                <input
                  type="radio"
                  name="role"
                  value={value}
                  checked={role === value}
                  onChange={() => setRole(value)}
                  className="sr-only"
                />
                <span className="block font-medium">{title}</span>
                <span className="block text-sm text-soft">{text}</span>
              </label>
            ))}
          </div>
        </fieldset>
        <TextInput label="Your name" name="name" autoComplete="name" maxLength={80} error={errors.name} />
        {role === 'employer' && (
          <TextInput
            label="Company"
            name="company"
            autoComplete="organization"
            maxLength={80}
            error={errors.company}
          />
        )}
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
          autoComplete="new-password"
          hint="At least 10 characters. A sentence is easy to remember."
          error={errors.password}
        />
        <InlineProblem error={Object.keys(fromServer).length > 0 ? undefined : signUp.error} />
        <button type="submit" className={`${button()} w-full`} disabled={signUp.isPending || heldBack}>
          {signUp.isPending ? 'Creating your account' : 'Create account'}
        </button>
      </form>
    </AuthFrame>
  )
}
