/** Sun, sails and water behind the search, where there is room for them. */
export function HarbourScene() {
  return (
    <svg
      aria-hidden
      viewBox="0 0 520 220"
      preserveAspectRatio="xMaxYMax slice"
      className="pointer-events-none absolute inset-y-0 right-0 hidden h-full w-[44%] mask-l-from-60% lg:block"
    >
      <circle cx="400" cy="92" r="34" className="fill-coral-vivid opacity-80" />
      <path
        d="M250 150c26-22 56-30 92-22 30-20 66-18 96 4 22-8 50-4 82 18Z"
        className="fill-sea opacity-25"
      />
      <g>
        <path d="M300 158V84l-36 66Z" className="fill-sail" />
        <path d="M305 158v-56l26 50Z" className="fill-coral-vivid opacity-70" />
        <path d="M258 160h80l-12 14h-56Z" className="fill-sea" />
      </g>
      <g>
        <path d="M452 148v-36l-18 33Z" className="fill-sail" />
        <path d="M455 148v-26l12 23Z" className="fill-sail opacity-70" />
        <path d="M430 150h40l-6 7h-28Z" className="fill-sea opacity-80" />
      </g>
      <path d="M0 172q32-12 65 0t65 0 65 0 65 0 65 0 65 0 65 0 65 0V220H0Z" className="fill-sea opacity-20" />
      <path
        d="M-20 190q32-12 65 0t65 0 65 0 65 0 65 0 65 0 65 0 65 0 65 0V220H-20Z"
        className="fill-sea opacity-25"
      />
    </svg>
  )
}
