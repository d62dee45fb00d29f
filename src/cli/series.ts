import { BUCKETS_PER_SERIES_MAX } from '../core/limits.ts'
import type { TimeRange } from '../core/reading.ts'
import { formatInstant, formatLocal, parseInstant } from '../core/rfc3339.ts'
import type { TimeZone } from '../core/time-zone.ts'
import { type Windows, type WindowWidth, windowsOf } from '../core/windows.ts'
import { openApi } from './access.ts'
import { ApiError, type ApiRequest, askJson, pathOf } from './api.ts'
import { rangeArguments, zoneArgument } from './arguments.ts'
import { type ChartBucket, drawChart } from './chart.ts'
import { CommandError, EXIT, type ExitCode } from './exit.ts'
import type { Invocation } from './invocation.ts'
import { grouped, printable, type Terminal } from './terminal.ts'

export interface SeriesOptions {
  readonly from?: string
  readonly to?: string
  readonly window: WindowWidth
  readonly tz: string
  readonly csv?: boolean
}

interface SeriesAnswer {
  readonly buckets: readonly { readonly timestamp: string; readonly count: number }[]
}

const CHART_ROWS = 8

/** `tally series`: a chart, or the buckets as JSON or CSV. A range in which nothing was counted is `notFound`. */
export async function runSeries(
  { terminal, sources }: Invocation,
  { counter, key }: { counter: string; key: string },
  options: SeriesOptions,
): Promise<ExitCode> {
  const zone = zoneArgument(options.tz)
  const range = rangeArguments(options, { width: options.window, zone, nowMs: Date.now() })
  const windows = windowsOf(range, zone, { width: options.window, max: BUCKETS_PER_SERIES_MAX })
  if (windows === undefined) {
    throw new CommandError(
      EXIT.usage,
      `--window ${options.window}: the range has more than ${grouped(BUCKETS_PER_SERIES_MAX)} of them; take a wider one`,
    )
  }
  const query = {
    from: formatInstant(range.fromMs),
    to: formatInstant(range.toMs),
    window: options.window,
    tz: options.tz,
  }
  const request: ApiRequest = { method: 'GET', path: pathOf('v1', 'counters', counter, key, 'series'), query }
  const api = await openApi(sources, terminal)
  try {
    if (options.csv) {
      const answer = await api.request({ ...request, accept: 'text/csv' })
      if (answer.status !== 200) throw new ApiError(answer)
      terminal.print(answer.text.trimEnd())
      return EXIT.ok
    }
    const answer = (await askJson(api, request)) as SeriesAnswer
    const total = answer.buckets.reduce((sum, { count }) => sum + count, 0)
    terminal.result(answer, () => {
      const title = `${counter} ${printable(key)}: ${grouped(total)} in ${span(range, zone)}, by ${options.window}`
      return `${title}\n\n${draw(answer, windows, { width: options.window, terminal })}`
    })
    return answer.buckets.some(({ count }) => count !== 0) ? EXIT.ok : EXIT.notFound
  } finally {
    await api.close()
  }
}

/** Every window of the range is drawn, also those that the answer leaves out since nothing was counted. */
function draw(
  answer: SeriesAnswer,
  windows: Windows,
  options: { width: WindowWidth; terminal: Terminal },
): string {
  const counts = new Map<number, number>()
  for (const { timestamp, count } of answer.buckets) {
    const startMs = parseInstant(timestamp)
    if (startMs !== undefined) counts.set(startMs, count)
  }
  const isOneDay = (windows.edgesMs.at(-1) ?? 0) - (windows.edgesMs[0] ?? 0) <= 26 * 3_600_000
  const buckets: ChartBucket[] = windows.edgesMs.slice(0, -1).map((startMs, index) => {
    const local = formatLocal(startMs, windows.offsets[index] ?? 0)
    const time = local.slice(11, 16)
    const date = local.slice(5, 10)
    const label = options.width === 'day' ? date : isOneDay ? time : `${date} ${time}`
    return { label, count: counts.get(startMs) ?? 0 }
  })
  return drawChart(buckets, { columns: options.terminal.columns, rows: CHART_ROWS })
}

function span({ fromMs, toMs }: TimeRange, zone: TimeZone): string {
  const text = (momentMs: number): string => {
    const offsetMinutes = zone.periods(momentMs, momentMs + 1)[0]?.offsetMinutes ?? 0
    return formatLocal(momentMs, offsetMinutes).slice(0, 16).replace('T', ' ')
  }
  return `${text(fromMs)} to ${text(toMs)}`
}
