/** Shapes of what is about to be there, so that nothing jumps when it is. */
export function PageSkeleton() {
  return (
    <div role="status" aria-label="Loading" className="wrap pt-10">
      <div className="skeleton h-8 w-56" />
      <div className="skeleton mt-3 h-5 w-80 max-w-full" />
      <div className="mt-8">
        <RowsSkeleton rows={4} />
      </div>
    </div>
  )
}

export function RowsSkeleton({ rows = 6 }: { readonly rows?: number }) {
  return (
    <div role="status" aria-label="Loading" className="card divide-y divide-line">
      {Array.from({ length: rows }, (_, index) => (
        <div key={String(index)} className="flex gap-4 px-4 py-4.5 sm:px-5">
          <div className="skeleton size-10 flex-none rounded-card!" />
          <div className="flex-1">
            <div className="skeleton h-4.5 w-2/5" />
            <div className="skeleton mt-2 h-4 w-3/5" />
            <div className="skeleton mt-3 h-4 w-32" />
          </div>
        </div>
      ))}
    </div>
  )
}
