import { QueryClientProvider } from '@tanstack/react-query'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { RouterProvider } from 'react-router/dom'
import { Heading } from './data/heading.ts'
import { queryClient } from './data/query-client.ts'
import { createAppRouter } from './routes.tsx'
import './styles.css'
import { applyStoredTheme } from './ui/theme.ts'

applyStoredTheme()
const router = createAppRouter()
const heading = () => (router.state.navigation.location ?? router.state.location).pathname
const root = document.getElementById('root')
if (!root) throw new Error('the page has no #root')
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <Heading value={heading}>
        <RouterProvider router={router} />
      </Heading>
    </QueryClientProvider>
  </StrictMode>,
)
