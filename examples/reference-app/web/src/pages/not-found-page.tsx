import { Compass } from 'lucide-react'
import { Link } from 'react-router'
import { button } from '../ui/button.ts'
import { Notice } from '../ui/notice.tsx'
import { Page } from '../ui/page.tsx'

export function NotFoundPage() {
  return (
    <Page title="Nothing here">
      <Notice
        heading="h1"
        icon={Compass}
        title="There is nothing at this address"
        actions={
          <Link to="/" className={button()}>
            Look at the jobs
          </Link>
        }
      >
        The link may be old, or a letter is missing.
      </Notice>
    </Page>
  )
}
