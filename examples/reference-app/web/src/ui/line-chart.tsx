import { useEffect, useRef } from 'react'
import UPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { onColorsChange } from './theme.ts'

export interface ChartSeries {
  readonly label: string
  /** A colour token, e.g. `--color-sea`. */
  readonly color: string
  readonly values: readonly (number | null)[]
}

export interface LineChartProps {
  readonly title: string
  readonly unit: string
  /** Seconds since the epoch, one for each value. */
  readonly times: readonly number[]
  readonly series: readonly ChartSeries[]
  /** The scale reaches at least this high, so that noise looks like noise. */
  readonly atLeast: number
  /** Seconds on the x axis. */
  readonly span: number
}

const HEIGHT = 112

/** A small live chart with its present values as text beside it. */
export function LineChart({ title, unit, times, series, atLeast, span }: LineChartProps) {
  const box = useRef<HTMLDivElement>(null)
  const chart = useRef<UPlot>(undefined)
  const names = series.map(({ label, color }) => `${label}:${color}`).join()
  const data: UPlot.AlignedData = [[...times], ...series.map(({ values }) => [...values])]
  const latest = useRef(data)
  latest.current = data

  // Colours and series are fixed when a chart is made; data is not.
  // biome-ignore lint/correctness/useExhaustiveDependencies: `names` stands for the series
  useEffect(() => {
    const element = box.current
    if (!element) return
    const build = () => {
      chart.current?.destroy()
      const color = colorsOf(element)
      const axis = {
        stroke: color('--color-faint'),
        font: '11px "Inter Variable", sans-serif',
        grid: { stroke: color('--color-line'), width: 1 },
        ticks: { show: false },
      }
      chart.current = new UPlot(
        {
          width: element.clientWidth,
          height: HEIGHT,
          padding: [8, 4, 8, 0],
          legend: { show: false },
          cursor: { show: false },
          scales: {
            x: { range: (_chart, _min, max) => [max - span, max] },
            y: { range: (_chart, _min, max) => [0, Math.max(atLeast, (max ?? 0) * 1.1)] },
          },
          axes: [
            { ...axis, show: false },
            { ...axis, size: 40, space: 32 },
          ],
          series: [
            {},
            ...series.map((one) => ({
              label: one.label,
              stroke: color(one.color),
              width: 1.75,
              points: { show: false },
              spanGaps: false,
            })),
          ],
        },
        latest.current,
        element,
      )
    }
    build()
    const resized = new ResizeObserver(() =>
      chart.current?.setSize({ width: element.clientWidth, height: HEIGHT }),
    )
    resized.observe(element)
    const removeColors = onColorsChange(build)
    return () => {
      resized.disconnect()
      removeColors()
      chart.current?.destroy()
      chart.current = undefined
    }
  }, [names, atLeast, span])

  useEffect(() => {
    chart.current?.setData(data)
  })

  const present = series.map(({ label, values }) => ({ label, value: values.at(-1) ?? null }))
  const spoken = present
    .map(({ label, value }) => `${label} ${value === null ? 'unknown' : `${show(value)} ${unit}`}`)
    .join(', ')
  return (
    <figure className="card min-w-0 p-4">
      <figcaption className="flex flex-wrap items-baseline justify-between gap-x-4">
        <span className="font-semibold">{title}</span>
        <span className="text-sm text-faint">{unit}</span>
      </figcaption>
      <ul className="mt-1.5 flex min-h-5.5 flex-wrap gap-x-4 text-sm text-soft">
        {series.map(({ label, color }, index) => (
          <li key={label} className="flex items-center gap-1.5">
            <span aria-hidden className="h-0.75 w-3 rounded-full" style={{ background: `var(${color})` }} />
            {label}
            <span className="min-w-7 font-medium text-ink tabular-nums">
              {show(present[index]?.value ?? null)}
            </span>
          </li>
        ))}
      </ul>
      <div
        ref={box}
        role="img"
        aria-label={`${title}: ${spoken}`}
        className="mt-2 -ml-2"
        style={{ height: HEIGHT }}
      />
    </figure>
  )
}

function show(value: number | null): string {
  if (value === null) return '–'
  return value >= 10 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1)
}

/** A canvas knows no CSS variables: asks an element what a token means right now. */
function colorsOf(element: HTMLElement): (token: string) => string {
  return (token) => {
    const probe = document.createElement('span')
    probe.style.color = `var(${token})`
    element.append(probe)
    const { color } = getComputedStyle(probe)
    probe.remove()
    return color
  }
}
