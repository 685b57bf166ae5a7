import { RotateCw, TriangleAlert } from 'lucide-react'
import { button } from '../ui/button.ts'
import { Notice } from '../ui/notice.tsx'
import { Page } from '../ui/page.tsx'

/** A screen failed, or its code could not be loaded: after a new version went live, a reload helps. */
export function BrokenPage() {
  return (
    <Page title="Something broke">
      <Notice
        heading="h1"
        icon={TriangleAlert}
        title="This page could not be shown"
        actions={
          <button type="button" className={button()} onClick={() => location.reload()}>
            <RotateCw aria-hidden size={16} />
            Load it again
          </button>
        }
      >
        The connection broke while it loaded, or there is a newer version of Harbour.
      </Notice>
    </Page>
  )
}
