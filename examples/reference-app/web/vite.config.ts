import tailwindcss from '@tailwindcss/vite'
import react from '@vitejs/plugin-react'
import { defaultClientConditions, defineConfig } from 'vite'
import { compression } from 'vite-plugin-compression2'

// `API_URL` points the development server at a running stack; the built pages are served by the app itself.
const api = process.env.API_URL

export default defineConfig({
  root: import.meta.dirname,
  // Compressed once, here, as small as it gets, and not by every node for every visitor.
  plugins: [react(), tailwindcss(), compression({ threshold: 1_000, logLevel: 'silent' })],
  resolve: { conditions: ['@cays/source', ...defaultClientConditions] },
  build: { outDir: 'dist', emptyOutDir: true, assetsInlineLimit: 0 },
  ...(api ? { server: { proxy: { '/api': { target: api }, '/rt': { target: api, ws: true } } } } : {}),
})
