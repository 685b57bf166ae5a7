import { defineConfig } from 'tsup'
import { preset } from '../../tsup.preset.ts'

// file-type and what it stands on are ESM only: a `require()` of them under Jest fails.
export default defineConfig(
  preset({
    noExternal: [
      'p-limit',
      'yocto-queue',
      'file-type',
      'strtok3',
      'token-types',
      '@tokenizer/inflate',
      'uint8array-extras',
    ],
  }),
)
