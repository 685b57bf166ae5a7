import { Bell, CircleUserRound, LogOut, MonitorSmartphone } from 'lucide-react'
import {
  Button,
  Dialog,
  DialogTrigger,
  Heading,
  Menu,
  MenuItem,
  MenuTrigger,
  Popover,
} from 'react-aria-components'
import { Link, useNavigate } from 'react-router'
import type { Account } from '../../../contract/account.ts'
import { useSignOut } from '../data/account.ts'
import { problemFrom } from '../data/api.ts'
import { useMarkNotificationsRead, useNotifications } from '../data/notifications.ts'
import { toast } from '../data/toasts.ts'
import { LiveDot } from './badge.tsx'
import { TimeAgo } from './time-ago.tsx'

const ICON = 'relative grid size-11 place-items-center rounded-card text-soft hover:bg-sunken hover:text-ink'
const PANEL = 'arrive rounded-card border border-edge bg-raised outline-none'

/** The bell and the account's menu: what only a signed-in page needs. */
export function HeaderMenus({ account }: { readonly account: Account }) {
  return (
    <>
      <NotificationBell />
      <AccountMenu account={account} />
    </>
  )
}

function NotificationBell() {
  const { data: notifications, isError } = useNotifications()
  const markRead = useMarkNotificationsRead()
  const unread = notifications?.filter(({ read }) => !read).length ?? 0
  return (
    <DialogTrigger onOpenChange={(open) => !open && unread > 0 && markRead.mutate()}>
      <Button aria-label={unread > 0 ? `Notifications, ${unread} new` : 'Notifications'} className={ICON}>
        <Bell aria-hidden size={20} />
        {unread > 0 && (
          <span
            aria-hidden
            className="absolute top-1 right-0.5 grid h-4.5 min-w-4.5 place-items-center rounded-full bg-coral px-1 text-[0.6875rem] font-semibold text-page tabular-nums"
          >
            {unread > 9 ? '9+' : unread}
          </span>
        )}
      </Button>
      <Popover placement="bottom end" className={`${PANEL} w-[min(24rem,calc(100vw-1.5rem))]`}>
        <Dialog className="flex max-h-[min(30rem,75dvh)] flex-col outline-none">
          {({ close }) => (
            <>
              <Heading slot="title" className="border-b border-line px-4 py-3 text-sm font-semibold">
                Notifications
              </Heading>
              {isError && !notifications && (
                <p className="px-4 py-8 text-center text-sm text-soft">They cannot be loaded right now.</p>
              )}
              {notifications?.length === 0 && (
                <p className="px-4 py-8 text-center text-sm text-soft">
                  Nothing yet. What happens with your applications shows up here.
                </p>
              )}
              <ul className="min-h-0 overflow-y-auto">
                {notifications?.map((notification) => (
                  <li key={notification.id} className="border-b border-line last:border-0">
                    <Link
                      to={notification.href}
                      onClick={close}
                      className="flex items-start gap-3 px-4 py-3 text-sm -outline-offset-2 hover:bg-sunken"
                    >
                      <span className="mt-1.5 flex w-2 flex-none">{!notification.read && <LiveDot />}</span>
                      <span className="min-w-0">
                        {!notification.read && <span className="sr-only">New: </span>}
                        {notification.text}
                        <span className="block text-[0.8125rem] text-faint">
                          <TimeAgo iso={notification.createdAt} />
                        </span>
                      </span>
                    </Link>
                  </li>
                ))}
              </ul>
            </>
          )}
        </Dialog>
      </Popover>
    </DialogTrigger>
  )
}

function AccountMenu({ account }: { readonly account: Account }) {
  const navigate = useNavigate()
  const signOut = useSignOut()
  const item =
    'flex cursor-pointer items-center gap-2.5 rounded-md px-3 py-2 text-sm outline-none data-focused:bg-sea-wash data-focused:text-sea'
  return (
    <MenuTrigger>
      <Button aria-label={`Account of ${account.name}`} className={`${ICON} hidden sm:grid`}>
        <CircleUserRound aria-hidden size={21} />
      </Button>
      <Popover placement="bottom end" className={`${PANEL} min-w-56`}>
        <div className="border-b border-line px-4 py-3 text-sm">
          <p className="font-semibold">{account.name}</p>
          <p className="text-faint">{account.company ?? account.email}</p>
        </div>
        <Menu aria-label="Account" className="p-1.5 outline-none">
          <MenuItem className={item} onAction={() => void navigate('/account')}>
            <MonitorSmartphone aria-hidden size={16} />
            Account and sessions
          </MenuItem>
          <MenuItem
            className={item}
            onAction={() =>
              signOut.mutate(undefined, {
                onSuccess: () => void navigate('/'),
                onError: (error) => toast(problemFrom(error).title, { tone: 'problem' }),
              })
            }
          >
            <LogOut aria-hidden size={16} />
            Sign out
          </MenuItem>
        </Menu>
      </Popover>
    </MenuTrigger>
  )
}
