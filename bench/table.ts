import type { Figure, Peer } from './figures.ts'

/** The results for a terminal. */
export function tableOf(figures: readonly Figure[]): string {
  return figures
    .map((figure) => {
      const { value, unit, must, verdict, by, rounds } = figure
      const peers = figure.peers.map((peer) => `    ${peerText(peer)}`)
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

function peerText({ name, time, cpu, memory, ratio }: Peer): string {
  return `${name.padEnd(32)} ${time} µs, ${cpu} µs CPU, ${Math.round(memory)} MiB, ratio ${ratio}`
}
