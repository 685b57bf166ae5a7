export function Logo({ size = 30 }: { readonly size?: number }) {
  return (
    <svg aria-hidden viewBox="0 0 32 32" width={size} height={size} className="flex-none">
      <rect width="32" height="32" rx="9" className="fill-sea" />
      <path d="M16.6 5.5v14.2H8.2c3.9-3.2 6.9-8.2 8.4-14.2Z" className="fill-on-sea" />
      <path d="M18.6 10.2c1.9 2.7 4 5.8 5.2 9.5h-5.2Z" className="fill-coral-vivid" />
      <path
        d="M6.5 22.4c1.6 0 1.6 1.4 3.2 1.4s1.6-1.4 3.1-1.4 1.6 1.4 3.2 1.4 1.6-1.4 3.2-1.4 1.5 1.4 3.1 1.4 1.6-1.4 3.2-1.4"
        className="fill-none stroke-on-sea"
        strokeWidth="1.8"
        strokeLinecap="round"
      />
    </svg>
  )
}
