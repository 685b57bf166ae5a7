import type { Figure, Peer } from './figures.ts'

/** The results for a terminal. */
export function tableOf(figures: readonly Figure[]): string {
  return figures
    .map((figure) => {
      const { value, unit, must, verdict, by, rounds } = figure
      const peers = figure.peers.map((peer) => `    ${peerText(peer, figure.unit)}`)
      return [
        `${figure.package}: ${figure.figure}`,
        `  ${value} ${unit} (must ${must})  ${verdict}  by ${by}, ${rounds} rounds, ${spreadText(figure)}`,
        ...peers,
      ].join('\n')
    })
    .join('\n\n')
}

export function spreadText({ spread: { low, high, control }, unit }: Figure): string {
  return `${low} to ${high} ${unit}, control ± ${Number((control * 100).toPrecision(2))} %`
}

function peerText({ name, time, cpu, memory, ratio, measured }: Peer, unit: string): string {
  const own = measured === undefined ? '' : `${measured} ${unit}, `
  return `${name.padEnd(32)} ${own}${time} µs, ${cpu} µs CPU, ${Math.round(memory)} MiB, ratio ${ratio}`
}
