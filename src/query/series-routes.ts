import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../core/limits.ts'
import type { TimeRange } from '../core/reading.ts'
import { UTC } from '../core/time-zone.ts'
import type { WindowWidth } from '../core/windows.ts'
import { acceptedType } from './accepted-type.ts'
import { asJson, sendTable } from './answer.ts'
import { csvText } from './csv.ts'
import { assertMayRead, assertRange, readInstant, readZone, seriesCounter } from './parameters.ts'
import {
  type BannerParams,
  type KeyParams,
  SERIES_DOCS,
  type SeriesQuery,
  STATS_BODY,
  STATS_DOCS,
  type StatsQuery,
} from './route-docs.ts'
import type { QueryDeps } from './routes.ts'
import { prepareSeries } from './series.ts'
import { readStatsBody } from './stats-body.ts'
import type { WhenReached } from './when-reached.ts'

const CONFIG = { scope: 'read', perKey: true } as const

/** What a range without a start covers: the last 60 minutes, 24 hours or 30 days, the current one included. */
const DEFAULT_RANGE_MS: Readonly<Record<WindowWidth, number>> = {
  minute: 59 * MINUTE_MS,
  hour: 23 * HOUR_MS,
  day: 29 * DAY_MS,
}

/** What a key counted, window by window: the whole form and the short one of `/stats`. */
export function addSeriesRoutes(app: FastifyInstance, deps: QueryDeps, whenReached: WhenReached): void {
  addSeries(app, deps, whenReached)
  addStats(app, deps)
}

function addSeries(app: FastifyInstance, deps: QueryDeps, whenReached: WhenReached): void {
  app.get<{ Params: Static<typeof KeyParams>; Querystring: Static<typeof SeriesQuery> }>(
    '/v1/counters/:counter/:key/series',
    { config: CONFIG, schema: SERIES_DOCS, serializerCompiler: asJson },
    (request, reply) => {
      const { counter, key } = request.params
      const { query } = request
      const width = query.window as WindowWidth
      seriesCounter(deps.counters, counter)
      assertMayRead(request.access, counter, key)
      const type = acceptedType(request.headers.accept)
      const range = rangeOf({ from: query.from, to: query.to, width, nowMs: deps.now() }, NAMES)
      const zone = readZone(query.tz)
      const zeros = query.fill === 'zero'
      const series = prepareSeries(deps.store, { counter, key, range, zone, width, zeros }, 'to')
      whenReached(request, reply, {
        parameters: query,
        read: async () => {
          const buckets = await series()
          const text =
            type === 'json'
              ? JSON.stringify({ counter, key, window: width, tz: query.tz, buckets })
              : csvText(
                  ['timestamp', 'count'],
                  buckets.map(({ timestamp, count }) => [timestamp, count]),
                )
          sendTable(reply, text, type)
        },
      })
    },
  )
}

const NAMES = { from: 'from', to: 'to' }
const STATS_NAMES = { from: 'tsFrom', to: 'tsTo' }

function addStats(app: FastifyInstance, deps: QueryDeps): void {
  app.get<{ Params: Static<typeof BannerParams>; Querystring: Static<typeof StatsQuery> }>(
    '/stats/:bannerId',
    { config: { ...CONFIG, requestBody: STATS_BODY }, schema: STATS_DOCS, serializerCompiler: asJson },
    (request, reply) => {
      const { headers } = request.raw
      if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined) {
        answerStats(deps, request, reply, request.query)
        return
      }
      readStatsBody(request, (error, body) => {
        if (body === undefined) reply.send(error)
        else answerStats(deps, request, reply, { ...request.query, ...body })
      })
    },
  )
}

function answerStats(
  deps: QueryDeps,
  request: FastifyRequest<{ Params: Static<typeof BannerParams> }>,
  reply: FastifyReply,
  { tsFrom, tsTo }: Static<typeof StatsQuery>,
): void {
  const read = async () => {
    const { bannerId } = request.params
    const { name: counter } = seriesCounter(deps.counters, deps.statsCounter)
    assertMayRead(request.access, counter, bannerId)
    const type = acceptedType(request.headers.accept)
    const range = rangeOf({ from: tsFrom, to: tsTo, width: 'minute', nowMs: deps.now() }, STATS_NAMES)
    const asked = { counter, key: bannerId, range, zone: UTC, width: 'minute', zeros: false } as const
    const buckets = await prepareSeries(deps.store, asked, STATS_NAMES.to)()
    const text =
      type === 'json'
        ? JSON.stringify(buckets.map(({ timestamp, count }) => ({ timestamp, bannerId, count })))
        : csvText(
            ['timestamp', 'bannerId', 'count'],
            buckets.map(({ timestamp, count }) => [timestamp, bannerId, count]),
          )
    sendTable(reply, text, type)
  }
  read().catch((error: unknown) => reply.send(error))
}

function rangeOf(
  given: { from: string | undefined; to: string | undefined; width: WindowWidth; nowMs: number },
  names: { from: string; to: string },
): TimeRange {
  const { from, to, width, nowMs } = given
  // An instant of now would leave the current window out where it has just begun.
  const toMs = to === undefined ? nowMs + 1 : readInstant(to, names.to)
  const fromMs = from === undefined ? toMs - 1 - DEFAULT_RANGE_MS[width] : readInstant(from, names.from)
  assertRange({ fromMs, toMs }, names)
  return { fromMs, toMs }
}
