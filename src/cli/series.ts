import type { TimeRange } from '../core/reading.ts'
import { formatInstant, formatLocal } from '../core/rfc3339.ts'
import type { TimeZone } from '../core/time-zone.ts'
import type { WindowWidth } from '../core/windows.ts'
import { openApi } from './access.ts'
import { askJson, pathOf } from './api.ts'
import { offsetAt, rangeArguments, zoneArgument } from './arguments.ts'
import { drawChart } from './chart.ts'
import { EXIT, type ExitCode } from './exit.ts'
import type { Invocation } from './invocation.ts'
import { grouped, printable } from './terminal.ts'

export interface SeriesOptions {
  readonly from?: string
  readonly to?: string
  readonly window: WindowWidth
  readonly tz: string
  readonly csv?: boolean
}

interface SeriesBucket {
  /** RFC 3339 with the offset of the zone. */
  readonly timestamp: string
  readonly count: number
}

const CHART_ROWS = 8

/** `tally series`: a chart, or the buckets as JSON or CSV. A range in which nothing was counted is `notFound`. */
export async function runSeries(
  { terminal, sources }: Invocation,
  { counter, key }: { counter: string; key: string },
  options: SeriesOptions,
): Promise<ExitCode> {
  const zone = zoneArgument(options.tz)
  const width = options.window
  const range = rangeArguments(options, { width, zone, nowMs: Date.now() })
  const query = {
    from: formatInstant(range.fromMs),
    to: formatInstant(range.toMs),
    window: width,
    tz: options.tz,
    fill: 'zero',
  }
  const api = await openApi(sources, terminal)
  try {
    const path = pathOf('v1', 'counters', counter, key, 'series')
    const answer = (await askJson(api, { method: 'GET', path, query })) as { buckets: SeriesBucket[] }
    const { buckets } = answer
    terminal.result(answer, () => {
      if (options.csv) return csv(buckets)
      const total = grouped(buckets.reduce((sum, { count }) => sum + count, 0))
      const title = `${counter} ${printable(key)}: ${total} in ${spanText(range, zone)}, by ${width}`
      return `${title}\n\n${draw(buckets, width, terminal.columns)}`
    })
    return buckets.some(({ count }) => count !== 0) ? EXIT.ok : EXIT.notFound
  } finally {
    await api.close()
  }
}

function csv(buckets: readonly SeriesBucket[]): string {
  return ['timestamp,count', ...buckets.map(({ timestamp, count }) => `${timestamp},${count}`)].join('\n')
}

function draw(buckets: readonly SeriesBucket[], width: WindowWidth, columns: number): string {
  const isOneDate = buckets[0]?.timestamp.slice(0, 10) === buckets.at(-1)?.timestamp.slice(0, 10)
  const labelled = buckets.map(({ timestamp, count }) => {
    const date = timestamp.slice(5, 10)
    const time = timestamp.slice(11, 16)
    return { label: width === 'day' ? date : isOneDate ? time : `${date} ${time}`, count }
  })
  return drawChart(labelled, { columns, rows: CHART_ROWS })
}

function spanText({ fromMs, toMs }: TimeRange, zone: TimeZone): string {
  const text = (momentMs: number): string =>
    formatLocal(momentMs, offsetAt(momentMs, zone)).slice(0, 16).replace('T', ' ')
  return `${text(fromMs)} to ${text(toMs)}`
}
