import { afterAll, beforeAll } from 'vitest'
import { startWorld, type World } from '../support/world.ts'
import { builtPages } from './built-pages.ts'
import { controls } from './controls.ts'
import { journey } from './journey.ts'
import { screens } from './screens.ts'
import { underTheHood } from './under-the-hood.ts'

// One world for all: it takes longer to start than most of them take to look at.
let world: World

beforeAll(async () => {
  world = await startWorld()
}, 180_000)
afterAll(() => world?.close(), 60_000)

journey(() => world)
builtPages(() => world)
screens(() => world)
controls(() => world)
underTheHood(() => world)
