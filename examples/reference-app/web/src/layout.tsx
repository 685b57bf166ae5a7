import {
  Activity,
  BriefcaseBusiness,
  CircleUserRound,
  ClipboardList,
  CloudOff,
  LogIn,
  type LucideIcon,
  Moon,
  Search,
  Sun,
  SunMoon,
} from 'lucide-react'
import { lazy, Suspense, useEffect, useRef, useSyncExternalStore } from 'react'
import { Link, NavLink, Outlet, ScrollRestoration, useLocation, useNavigation } from 'react-router'
import { setMe, useMe } from './data/account.ts'
import { onSignedOut } from './data/api.ts'
import { type LiveState, useLive, useLiveState } from './data/live.ts'
import { toast } from './data/toasts.ts'
import { button } from './ui/button.ts'
import { Logo } from './ui/logo.tsx'
import { setTheme, type Theme, useTheme } from './ui/theme.ts'
import { ToastRegion } from './ui/toast-region.tsx'

const HeaderMenus = lazy(async () => ({ default: (await import('./ui/header-menus.tsx')).HeaderMenus }))

interface Place {
  readonly to: string
  readonly label: string
  readonly icon: LucideIcon
}

/** The frame of every screen: header, main, and on a phone the places at the bottom. */
export function Layout() {
  const { data: me } = useMe()
  useLive(me?.id)
  useEndOfSession(me !== null && me !== undefined)
  const places: Place[] = [
    { to: '/', label: 'Jobs', icon: Search },
    ...(me?.role === 'seeker'
      ? [{ to: '/applications', label: 'My applications', icon: ClipboardList }]
      : []),
    ...(me?.role === 'employer' ? [{ to: '/employer', label: 'My jobs', icon: BriefcaseBusiness }] : []),
    { to: '/status', label: 'Under the hood', icon: Activity },
  ]
  return (
    <div className="flex min-h-dvh flex-col">
      <a
        href="#main"
        className="absolute top-2 left-2 z-50 -translate-y-20 rounded-card bg-sea px-4 py-2 text-on-sea focus:translate-y-0"
      >
        Skip to the content
      </a>
      <header className="sticky top-0 z-30 border-b border-line bg-page">
        <div className="wrap flex h-16 items-center gap-2 sm:gap-6">
          <Link to="/" className="flex items-center gap-2.5 rounded-md text-lg font-semibold tracking-tight">
            <Logo />
            Harbour
          </Link>
          <nav aria-label="Main" className="hidden gap-1 sm:flex">
            {places.map(({ to, label }) => (
              <NavLink
                key={to}
                to={to}
                end={to === '/'}
                className="rounded-card px-3 py-2 text-[0.9375rem] text-soft hover:bg-sunken hover:text-ink aria-[current=page]:font-medium aria-[current=page]:text-sea"
              >
                {label}
              </NavLink>
            ))}
          </nav>
          <div className="ml-auto flex items-center">
            {me && <LiveSign />}
            <ThemeButton />
            {me && (
              <Suspense fallback={<span className="h-11 w-11 sm:w-22" />}>
                <HeaderMenus account={me} />
              </Suspense>
            )}
            {me === null && (
              <Link to="/sign-in" className={`${button('secondary', 'small')} ml-2`}>
                Sign in
              </Link>
            )}
          </div>
        </div>
      </header>
      <OfflineBar />
      <Main />
      <BottomBar
        places={[
          ...places,
          ...(me === undefined
            ? []
            : [
                me
                  ? { to: '/account', label: 'Account', icon: CircleUserRound }
                  : { to: '/sign-in', label: 'Sign in', icon: LogIn },
              ]),
        ]}
      />
      <ToastRegion />
      <ScrollRestoration />
    </div>
  )
}

function Main() {
  const main = useRef<HTMLElement>(null)
  const { pathname } = useLocation()
  const shown = useRef(pathname)
  const navigation = useNavigation()
  // A new screen takes the focus, as a new page would; the first one leaves it to the browser.
  useEffect(() => {
    if (shown.current === pathname) return
    shown.current = pathname
    main.current?.focus({ preventScroll: true })
  }, [pathname])
  return (
    <main
      id="main"
      ref={main}
      tabIndex={-1}
      aria-busy={navigation.state === 'loading'}
      className="flex-1 pb-16 sm:pb-0"
    >
      <Outlet />
    </main>
  )
}

function BottomBar({ places }: { readonly places: readonly Place[] }) {
  return (
    <nav
      aria-label="Places"
      className="fixed inset-x-0 bottom-0 z-30 grid auto-cols-fr grid-flow-col border-t border-line bg-surface pb-[env(safe-area-inset-bottom)] sm:hidden"
    >
      {places.map(({ to, label, icon: Icon }) => (
        <NavLink
          key={to}
          to={to}
          end={to === '/'}
          className="flex h-16 flex-col items-center justify-center gap-1 px-0.5 text-center text-[0.6875rem] leading-tight -outline-offset-2 text-soft aria-[current=page]:font-medium aria-[current=page]:text-sea"
        >
          <Icon aria-hidden size={20} />
          {label}
        </NavLink>
      ))}
    </nav>
  )
}

function OfflineBar() {
  const online = useSyncExternalStore(subscribeOnline, () => navigator.onLine)
  return (
    <div role="status">
      {!online && (
        <p className="flex items-center justify-center gap-2 bg-dune-wash px-4 py-2 text-center text-sm text-dune">
          <CloudOff aria-hidden size={16} className="flex-none" />
          You are offline. What you see may be older; it catches up when you are back.
        </p>
      )}
    </div>
  )
}

const LIVE: Readonly<Record<LiveState, readonly [label: string, dot: string]>> = {
  off: ['', ''],
  connecting: ['Connecting', 'bg-dune'],
  live: ['Live', 'bg-reef'],
  waiting: ['Reconnecting', 'bg-dune'],
}

function LiveSign() {
  const state = useLiveState()
  if (state === 'off') return null
  const [label, dot] = LIVE[state]
  return (
    <span
      title="Changes elsewhere show up here by themselves"
      className="mr-2 flex items-center gap-1.5 text-[0.8125rem] text-faint"
    >
      <span aria-hidden className={`size-2 rounded-full ${dot}`} />
      <span className={state === 'live' ? 'sr-only md:not-sr-only' : ''}>{label}</span>
    </span>
  )
}

const NEXT_THEME: Readonly<Record<Theme, Theme>> = { system: 'light', light: 'dark', dark: 'system' }

function ThemeButton() {
  const theme = useTheme()
  const Icon = { system: SunMoon, light: Sun, dark: Moon }[theme]
  return (
    <button
      type="button"
      aria-label={`Colours: ${theme}. Change to ${NEXT_THEME[theme]}`}
      title={`Colours: ${theme}`}
      onClick={() => setTheme(NEXT_THEME[theme])}
      className="grid size-11 place-items-center rounded-card text-soft hover:bg-sunken hover:text-ink"
    >
      <Icon aria-hidden size={20} />
    </button>
  )
}

/** The session may end elsewhere: then this page says so and keeps nothing of the account. */
function useEndOfSession(signedIn: boolean): void {
  const before = useRef(signedIn)
  useEffect(() => {
    before.current = signedIn
  }, [signedIn])
  useEffect(
    () =>
      onSignedOut(() => {
        if (before.current) toast('Your session has ended. Please sign in again.', { tone: 'problem' })
        before.current = false
        setMe(null)
      }),
    [],
  )
}

function subscribeOnline(listener: () => void): () => void {
  addEventListener('online', listener)
  addEventListener('offline', listener)
  return () => {
    removeEventListener('online', listener)
    removeEventListener('offline', listener)
  }
}
