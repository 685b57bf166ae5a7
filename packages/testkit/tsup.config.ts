import { defineConfig } from 'tsup'
import { preset } from '../../tsup.preset.ts'

// The shims give the CJS build its `import.meta.url`, from where the packaged Postgres is looked for.
export default defineConfig(preset({ shims: true }))
