import { TallyError } from '../core/errors.ts'
import { BUCKETS_PER_SERIES_MAX } from '../core/limits.ts'
import type { TimeRange } from '../core/reading.ts'
import { formatLocal } from '../core/rfc3339.ts'
import type { TimeZone } from '../core/time-zone.ts'
import { WIDTH_MS, type WindowWidth, windowsOf } from '../core/windows.ts'
import type { Store } from '../store/store.ts'
import { spansOf, sumIntoWindows } from './spans.ts'

export interface SeriesRequest {
  readonly counter: string
  readonly key: string
  readonly range: TimeRange
  readonly zone: TimeZone
  readonly width: WindowWidth
  /** Whether windows without a count are listed too. */
  readonly zeros: boolean
}

/** A window by the start that its zone's clock shows, RFC 3339. */
export interface SeriesBucket {
  readonly timestamp: string
  readonly count: number
}

/**
 * Prepares the series of one key: refuses a range with too many windows at once (`range_too_wide`, `at` the
 * parameter that ends it), and reads when the answer is called (`resolution_expired`, `query_timeout`).
 */
export function prepareSeries(
  store: Pick<Store, 'series'>,
  { counter, key, range, zone, width, zeros }: SeriesRequest,
  at: string,
): () => Promise<SeriesBucket[]> {
  const windows = windowsOf(range, zone, { width, max: BUCKETS_PER_SERIES_MAX })
  if (windows === undefined) {
    const about = Math.ceil((range.toMs - range.fromMs) / WIDTH_MS[width])
    throw new TallyError('range_too_wide', `The range has more ${width}s than one answer may hold`, {
      at,
      expected: `at most ${BUCKETS_PER_SERIES_MAX} ${width}s`,
      got: `about ${about} ${width}s`,
    })
  }
  const { edgesMs, offsets } = windows
  const spans = spansOf(edgesMs)
  return async () => {
    const counts = sumIntoWindows(await store.series(counter, key, spans), edgesMs)
    const buckets: SeriesBucket[] = []
    for (const [index, count] of counts.entries()) {
      if (count === 0 && !zeros) continue
      buckets.push({ timestamp: formatLocal(edgesMs[index] ?? 0, offsets[index] ?? 0), count })
    }
    return buckets
  }
}
