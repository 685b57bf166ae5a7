import { X } from 'lucide-react'
import type { ReactNode } from 'react'
import { Dialog, Heading, Modal, ModalOverlay } from 'react-aria-components'
import { button } from './button.ts'

interface OverlayProps {
  readonly title: string
  readonly open: boolean
  readonly onClose: () => void
}

const VEIL = 'fixed inset-0 z-40 flex bg-veil'

/** A panel that comes up from the bottom of a phone. */
export function Sheet({
  title,
  open,
  onClose,
  footer,
  children,
}: OverlayProps & { readonly footer?: ReactNode; readonly children: ReactNode }) {
  return (
    <ModalOverlay isOpen={open} onOpenChange={onClose} isDismissable className={`${VEIL} items-end`}>
      <Modal className="arrive max-h-[88dvh] w-full overflow-hidden rounded-t-2xl border-t border-line bg-surface">
        <Dialog className="flex max-h-[88dvh] flex-col outline-none">
          <header className="flex items-center justify-between border-b border-line py-2 pr-2 pl-5">
            <Heading slot="title" className="text-lg font-semibold">
              {title}
            </Heading>
            <button
              type="button"
              aria-label="Close"
              onClick={onClose}
              className="grid size-11 place-items-center rounded-card text-soft hover:bg-sunken"
            >
              <X aria-hidden size={20} />
            </button>
          </header>
          <div className="min-h-0 flex-1 overflow-y-auto px-5 py-4">{children}</div>
          {footer && (
            <footer className="border-t border-line px-5 pt-3 pb-[max(0.75rem,env(safe-area-inset-bottom))]">
              {footer}
            </footer>
          )}
        </Dialog>
      </Modal>
    </ModalOverlay>
  )
}

/** Asks once more before something that others will notice. */
export function Confirm({
  title,
  open,
  onClose,
  action,
  onConfirm,
  children,
}: OverlayProps & {
  readonly action: string
  readonly onConfirm: () => void
  readonly children: ReactNode
}) {
  return (
    <ModalOverlay
      isOpen={open}
      onOpenChange={onClose}
      isDismissable
      className={`${VEIL} items-center justify-center p-4`}
    >
      <Modal className="card arrive w-full max-w-md">
        <Dialog role="alertdialog" className="p-6 outline-none">
          <Heading slot="title" className="text-lg font-semibold">
            {title}
          </Heading>
          <div className="mt-2 text-soft">{children}</div>
          <div className="mt-6 flex flex-wrap justify-end gap-2">
            <button type="button" className={button('secondary')} onClick={onClose}>
              Keep it
            </button>
            <button
              type="button"
              className={button('danger')}
              onClick={() => {
                onConfirm()
                onClose()
              }}
            >
              {action}
            </button>
          </div>
        </Dialog>
      </Modal>
    </ModalOverlay>
  )
}
