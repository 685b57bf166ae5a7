import { createContext } from 'react'

/**
 * The path the visitor is on the way to, or is at. Asked in timers, which can fire when a link was already followed
 * and React has not yet drawn that: `useNavigation` would still answer with what is on the screen.
 */
export const Heading = createContext<() => string>(() => window.location.pathname)
