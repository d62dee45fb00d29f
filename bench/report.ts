/** What one row found. Ratios are of Tally to its reference; `better` tells which way is good. */
export interface RowResult {
  readonly row: string
  readonly title: string
  readonly reference: string
  readonly tally: string
  readonly ratio: number
  /** CPU time per request of the reference to that of Tally, for rows where the rate counts. */
  readonly cpuRatio?: number
  readonly better: 'higher' | 'lower'
  readonly required: number
  readonly aim: number
  /** Why the figure can't be trusted, where other processes had too much of the cores. */
  readonly disturbed: string | undefined
  /** What a reader should know before believing the figure. */
  readonly notes: readonly string[]
}

export type Verdict = 'aim' | 'holds' | 'short'

/** `aim` reached, `holds` what is required, or `short` of it. */
export function verdict(result: RowResult): Verdict {
  const reaches = (bound: number) =>
    result.better === 'higher' ? result.ratio >= bound : result.ratio <= bound
  if (reaches(result.aim)) return 'aim'
  return reaches(result.required) ? 'holds' : 'short'
}

const HEAD = ['row', 'reference', 'tally', 'ratio', 'CPU ratio', 'at least', 'aim', 'verdict']

/** A Markdown table (a question mark behind the verdict of a disturbed row), aligned so that it also reads well in a terminal. */
export function table(results: readonly RowResult[]): string {
  const rows = results.map((result) => {
    const sign = result.better === 'higher' ? '≥' : '≤'
    return [
      result.row,
      result.reference,
      result.tally,
      result.ratio.toFixed(2),
      result.cpuRatio === undefined ? '–' : result.cpuRatio.toFixed(2),
      `${sign} ${result.required.toFixed(2)}`,
      `${sign} ${result.aim.toFixed(2)}`,
      result.disturbed === undefined ? verdict(result) : `${verdict(result)}?`,
    ]
  })
  const widths = HEAD.map((head, column) =>
    Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`
  return [line(HEAD), rule, ...rows.map(line)].join('\n')
}

/** The middle value; of an even number of values, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2
}

export function perSecond(value: number): string {
  return `${Math.round(value).toLocaleString('en')}/s`
}

export function milliseconds(us: number): string {
  return `${(us / 1000).toFixed(us < 10_000 ? 3 : 1)} ms`
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`
}
