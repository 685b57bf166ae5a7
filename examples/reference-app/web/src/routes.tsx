import { createBrowserRouter } from 'react-router'
import { Layout } from './layout.tsx'
import { BrokenPage } from './pages/broken-page.tsx'
import { JobsPage } from './pages/jobs-page.tsx'
import { NotFoundPage } from './pages/not-found-page.tsx'
import { RequireAccount } from './ui/require-account.tsx'
import { PageSkeleton } from './ui/skeletons.tsx'

/** The map of the app. The job list comes with the first load, every other screen when it is opened. */
export function createAppRouter(): ReturnType<typeof createBrowserRouter> {
  return createBrowserRouter([
    {
      Component: Layout,
      ErrorBoundary: BrokenPage,
      HydrateFallback: PageSkeleton,
      children: [
        {
          ErrorBoundary: BrokenPage,
          children: [
            { index: true, Component: JobsPage },
            {
              path: 'jobs/:id',
              lazy: async () => ({ Component: (await import('./pages/job-page.tsx')).JobPage }),
            },
            {
              path: 'sign-in',
              lazy: async () => ({ Component: (await import('./pages/sign-in-page.tsx')).SignInPage }),
            },
            {
              path: 'sign-up',
              lazy: async () => ({ Component: (await import('./pages/sign-up-page.tsx')).SignUpPage }),
            },
            {
              path: 'status',
              lazy: async () => ({ Component: (await import('./pages/status-page.tsx')).StatusPage }),
            },
            {
              element: <RequireAccount />,
              children: [
                {
                  path: 'account',
                  lazy: async () => ({ Component: (await import('./pages/account-page.tsx')).AccountPage }),
                },
              ],
            },
            {
              element: <RequireAccount only="seeker" />,
              children: [
                {
                  path: 'jobs/:id/apply',
                  lazy: async () => ({ Component: (await import('./pages/apply-page.tsx')).ApplyPage }),
                },
                {
                  path: 'applications',
                  lazy: async () => ({
                    Component: (await import('./pages/applications-page.tsx')).ApplicationsPage,
                  }),
                },
              ],
            },
            {
              path: 'employer',
              element: <RequireAccount only="employer" />,
              children: [
                {
                  index: true,
                  lazy: async () => ({
                    Component: (await import('./pages/employer-jobs-page.tsx')).EmployerJobsPage,
                  }),
                },
                {
                  path: 'jobs/new',
                  lazy: async () => ({ Component: (await import('./pages/post-job-page.tsx')).PostJobPage }),
                },
                {
                  path: 'jobs/:id',
                  lazy: async () => ({ Component: (await import('./pages/board-page.tsx')).BoardPage }),
                },
              ],
            },
            { path: '*', Component: NotFoundPage },
          ],
        },
      ],
    },
  ])
}
