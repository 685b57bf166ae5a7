export interface Box {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

export interface MapLink {
  readonly id: string
  readonly from: string
  readonly to: string
  readonly path: string
}

export interface MapLayout {
  readonly width: number
  readonly height: number
  readonly boxes: Readonly<Record<string, Box>>
  readonly links: readonly MapLink[]
}

const WIDE = 560
const STORE = 68
/** A store so narrow that what it says of itself needs two lines. */
const TALL_STORE = 84
const NODE = 116
const GAP = 20

/** Where everything stands: from left to right where there is room, from top to bottom on a phone. */
export function layoutMap(
  width: number,
  nodes: readonly string[],
  databases: readonly string[],
  hasRedis: boolean,
): MapLayout {
  const stores = [...(hasRedis ? ['redis'] : []), ...databases, 'bucket']
  return width >= WIDE ? wide(width, nodes, stores) : tall(width, nodes, databases, hasRedis)
}

function wide(width: number, nodes: readonly string[], stores: readonly string[]): MapLayout {
  const height = Math.max(stores.length * (STORE + GAP) - GAP, nodes.length * (NODE + 36) - 36)
  const [browserWidth, nodeWidth, storeWidth] = [Math.max(134, width * 0.19), width * 0.27, width * 0.27]
  const nodesX = (width - nodeWidth) / 2 - width * 0.03
  const boxes: Record<string, Box> = {
    browser: { x: 0, y: height / 2 - 38, width: browserWidth, height: 76 },
  }
  const spread = (names: readonly string[], x: number, boxWidth: number, boxHeight: number, gap: number) => {
    const top = (height - (names.length * (boxHeight + gap) - gap)) / 2
    names.forEach((name, index) => {
      boxes[name] = { x, y: top + index * (boxHeight + gap), width: boxWidth, height: boxHeight }
    })
  }
  spread(nodes, nodesX, nodeWidth, NODE, 36)
  spread(stores, width - storeWidth, storeWidth, STORE, GAP)
  return { width, height, boxes, links: linksOf(boxes, nodes, stores, sideways) }
}

/** Room on a phone's right side for the way past the nodes, and between the first stores for that to the databases. */
const LANE = 14
const SHAFT = 28

function tall(
  width: number,
  nodes: readonly string[],
  databases: readonly string[],
  hasRedis: boolean,
): MapLayout {
  const gap = 8
  const fall = 44
  const boxes: Record<string, Box> = {}
  const row = (names: readonly string[], y: number, height: number, room: number, between = gap) => {
    const each = (room - between * (names.length - 1)) / Math.max(1, names.length)
    names.forEach((name, index) => {
      boxes[name] = { x: index * (each + between), y, width: each, height }
    })
    return y + height
  }
  const others = [...(hasRedis ? ['redis'] : []), 'bucket']
  let y = row(['browser'], 0, STORE, width)
  y = row(nodes, y + fall, NODE, width - LANE)
  const top = y + fall
  // Without Redis the bucket stands at the right, and the shaft where Redis would be.
  y = hasRedis ? row(others, top, STORE, width, SHAFT) : row(['', 'bucket'], top, STORE, width, SHAFT)
  delete boxes['']
  const shaft: Shaft = { x: width / 2, top, bottom: y }
  y = row(databases, y + fall - 10, TALL_STORE, width)
  return {
    width,
    height: y,
    boxes,
    links: [
      ...linksOf(boxes, nodes, others, downwards),
      ...linksOf(boxes, nodes, databases, through(shaft)).filter(({ from }) => from !== 'browser'),
    ],
  }
}

interface Shaft {
  readonly x: number
  readonly top: number
  readonly bottom: number
}

/** Down between the stores of the row before, each node a little beside the other. */
function through({ x, top, bottom }: Shaft): Draw {
  return (from, to) => {
    const [x1, y1, x2, y2] = [from.x + from.width / 2, from.y + from.height, to.x + to.width / 2, to.y]
    const at = x + Math.sign(x1 - x) * 3
    const [enter, leave] = [(top - y1) / 2, (y2 - bottom) / 2]
    return `M${x1},${y1} C${x1},${y1 + enter} ${at},${top - enter} ${at},${top} L${at},${bottom} C${at},${bottom + leave} ${x2},${y2 - leave} ${x2},${y2}`
  }
}

type Draw = (from: Box, to: Box) => string

function linksOf(
  boxes: Readonly<Record<string, Box>>,
  nodes: readonly string[],
  stores: readonly string[],
  draw: Draw,
): MapLink[] {
  const pairs = [
    ...nodes.map((node) => ['browser', node] as const),
    ...nodes.flatMap((node) => stores.map((store) => [node, store] as const)),
    ['browser', 'bucket'] as const,
  ]
  return pairs.flatMap(([from, to]) => {
    const [start, end] = [boxes[from], boxes[to]]
    return start && end
      ? [
          {
            id: `${from}>${to}`,
            from,
            to,
            path: from === 'browser' && to === 'bucket' ? around(start, end, draw) : draw(start, end),
          },
        ]
      : []
  })
}

const sideways: Draw = (from, to) => {
  const [x1, y1, x2, y2] = [from.x + from.width, from.y + from.height / 2, to.x, to.y + to.height / 2]
  const bend = (x2 - x1) / 2
  return `M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`
}

const downwards: Draw = (from, to) => {
  const [x1, y1, x2, y2] = [from.x + from.width / 2, from.y + from.height, to.x + to.width / 2, to.y]
  const bend = Math.min(40, (y2 - y1) / 2)
  return `M${x1},${y1} C${x1},${y1 + bend} ${x2},${y2 - bend} ${x2},${y2}`
}

/** A résumé goes straight to the bucket, past the nodes. */
function around(from: Box, to: Box, draw: Draw): string {
  if (draw === downwards) {
    const x = from.x + from.width - LANE / 2
    return `M${x},${from.y + from.height} L${x},${to.y}`
  }
  const [x1, y1] = [from.x + from.width / 2, from.y + from.height]
  const [x2, y2] = [to.x, to.y + to.height / 2 + 12]
  return `M${x1},${y1} C${x1},${y2} ${x1 + 60},${y2} ${x1 + 140},${y2} L${x2},${y2}`
}
