import tailwindcss from '@tailwindcss/vite'
import react from '@vitejs/plugin-react'
import { defaultClientConditions, defineConfig } from 'vite'

// `API_URL` points the development server at a running stack; the built pages are served by the app itself.
const api = process.env.API_URL

export default defineConfig({
  root: import.meta.dirname,
  plugins: [react(), tailwindcss()],
  resolve: { conditions: ['@cays/source', ...defaultClientConditions] },
  build: { outDir: 'dist', emptyOutDir: true, assetsInlineLimit: 0 },
  ...(api ? { server: { proxy: { '/api': { target: api }, '/rt': { target: api, ws: true } } } } : {}),
})
