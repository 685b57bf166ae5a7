import { defineConfig } from 'tsup'
import { preset } from '../../tsup.preset.ts'

// The client runs in browsers, also without a bundler: the three kernel files it uses travel inside. The
// brand of CaysError makes copies one class.
export default defineConfig(preset({ noExternal: [/^@cays\/core\/(error|backoff|duration)$/] }))
