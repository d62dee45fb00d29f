import { grouped } from './terminal.ts'

/** One bucket of a chart. */
export interface ChartBucket {
  /** How its moment is written below the axis. */
  readonly label: string
  readonly count: number
}

export interface ChartSize {
  /** Width and height of the whole drawing, characters. */
  readonly columns: number
  readonly rows: number
}

/** The least width of the drawing, and the space and line beside the numbers. */
const COLUMNS_MIN = 10
const GUTTER_BORDER = 2
/** Few columns are drawn wide, up to this. */
const WIDE_MAX = 4

const EIGHTHS = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'] as const
/** From the top of a cell downwards there are no eighths, only halves. */
const HALVES_DOWN = [' ', '▀', '█'] as const

/**
 * Draws counts as columns over an axis: one character wide each, where there are more than fit several
 * neighbours summed to one. Counts below zero hang below the axis.
 */
export function drawChart(buckets: readonly ChartBucket[], size: ChartSize): string {
  // No column is higher than all of them together, so its number fits too.
  const room = grouped(buckets.reduce((sum, { count }) => sum + Math.abs(count), 0)).length
  const width = Math.max(COLUMNS_MIN, size.columns - room - GUTTER_BORDER)
  const perColumn = Math.max(1, Math.ceil(buckets.length / width))
  const columns = summed(buckets, perColumn)
  const wide = Math.max(1, Math.min(WIDE_MAX, Math.floor(width / columns.length)))
  const [highest, lowest] = extremes(columns)
  const gutter = Math.max(grouped(highest).length, grouped(lowest).length)
  const rowsUp = highest === 0 ? 0 : Math.max(1, Math.round((highest / (highest - lowest)) * size.rows))
  const rowsDown = lowest === 0 ? 0 : Math.max(1, size.rows - rowsUp)
  const lines: string[] = []
  for (let row = rowsUp; row > 0; row--) {
    const head = row === rowsUp ? grouped(highest) : ''
    const cells = columns.map(({ count }) => cellUp(count, highest, { row, rows: rowsUp }).repeat(wide))
    lines.push(`${head.padStart(gutter)} ${head === '' ? '│' : '┤'}${cells.join('')}`.trimEnd())
  }
  lines.push(`${'0'.padStart(gutter)} ┼${'─'.repeat(columns.length * wide)}`)
  for (let row = 1; row <= rowsDown; row++) {
    const head = row === rowsDown ? grouped(lowest) : ''
    const cells = columns.map(({ count }) => cellDown(count, lowest, { row, rows: rowsDown }).repeat(wide))
    lines.push(`${head.padStart(gutter)} ${head === '' ? '│' : '┤'}${cells.join('')}`.trimEnd())
  }
  lines.push(`${' '.repeat(gutter + 2)}${labels(columns, wide)}`)
  if (perColumn > 1) lines.push(`${' '.repeat(gutter + 2)}each column is ${perColumn} buckets`)
  return lines.join('\n')
}

function extremes(buckets: readonly ChartBucket[]): [highest: number, lowest: number] {
  let highest = 0
  let lowest = 0
  for (const { count } of buckets) {
    highest = Math.max(highest, count)
    lowest = Math.min(lowest, count)
  }
  return [highest, lowest]
}

function summed(buckets: readonly ChartBucket[], perColumn: number): ChartBucket[] {
  const columns: ChartBucket[] = []
  for (let at = 0; at < buckets.length; at += perColumn) {
    const part = buckets.slice(at, at + perColumn)
    columns.push({ label: part[0]?.label ?? '', count: part.reduce((sum, { count }) => sum + count, 0) })
  }
  return columns
}

/** The cell of a column in the row counted from the axis upwards. A count that is not 0 shows at least a line. */
function cellUp(count: number, highest: number, { row, rows }: { row: number; rows: number }): string {
  if (count <= 0) return ' '
  const eighths = Math.max(1, Math.round((count / highest) * rows * 8))
  return EIGHTHS[Math.min(8, Math.max(0, eighths - (row - 1) * 8))] ?? ' '
}

function cellDown(count: number, lowest: number, { row, rows }: { row: number; rows: number }): string {
  if (count >= 0) return ' '
  const halves = Math.max(1, Math.round((count / lowest) * rows * 2))
  return HALVES_DOWN[Math.min(2, Math.max(0, halves - (row - 1) * 2))] ?? ' '
}

/** As many labels below the axis as fit with two spaces between them; each starts below its column. */
function labels(columns: readonly ChartBucket[], wide: number): string {
  const width = columns.length * wide
  let line = ''
  for (const [index, { label }] of columns.entries()) {
    const at = index * wide
    const isFree = line === '' || at >= line.length + 2
    if (isFree && (at + label.length <= width || index === 0)) line = line.padEnd(at) + label
  }
  return line
}
