import { defineConfig } from 'tsup'
import { preset } from '../../tsup.preset.ts'

const library = preset()

// The command beside the entries.
export default defineConfig({ ...library, entry: [...(library.entry as string[]), './src/cli.ts'] })
