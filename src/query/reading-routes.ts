import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import { TallyError } from '../core/errors.ts'
import { KEYS_PER_READ_MAX, PAGE_LIMIT_DEFAULT, SERIES_RANGE_YEARS_MAX } from '../core/limits.ts'
import type { Reading } from '../core/reading.ts'
import { readingText } from '../core/reading-text.ts'
import { answerText } from '../server/answer.ts'
import type { Span } from '../store/store.ts'
import { asJson, JSON_TYPE, sendJson } from './answer.ts'
import { readCursor, writeCursor } from './cursor.ts'
import {
  assertKey,
  assertMayRead,
  assertRange,
  declaredCounter,
  readInstant,
  refuseUnknown,
  seriesCounter,
} from './parameters.ts'
import {
  type CounterParams,
  type KeyParams,
  type PageQuery,
  READING_DOCS,
  READINGS_DOCS,
  TOP_DOCS,
  type TopQuery,
} from './route-docs.ts'
import type { QueryDeps } from './routes.ts'
import { spansOf, wholeMinutes } from './spans.ts'
import type { WaitParameters, WhenReached } from './when-reached.ts'

const CONFIG = { scope: 'read', perKey: true } as const
const READING_PARAMETERS = ['wait', 'timeout']
const YEAR_MS = 366 * 86_400_000

type ReadingRequest = FastifyRequest<{ Params: Static<typeof KeyParams>; Querystring: WaitParameters }>

/** Values: of one key, of many, of all in pages, and the highest. */
export function addReadingRoutes(app: FastifyInstance, deps: QueryDeps, whenReached: WhenReached): void {
  addReading(app, deps, whenReached)
  addReadings(app, deps, whenReached)
  addTop(app, deps, whenReached)
}

/**
 * The most frequent request of all: judged by hand, answered as text, and without a promise of its own
 * beside the store's.
 */
function addReading(app: FastifyInstance, deps: QueryDeps, whenReached: WhenReached): void {
  const { store, counters } = deps

  function read(request: ReadingRequest, reply: FastifyReply): Promise<unknown> {
    const { counter, key } = request.params
    return store
      .readings(counter, { keys: [key] })
      .then(({ readings: [reading] }) =>
        reading === undefined
          ? reply.send(new TallyError('internal', 'The store answered no reading'))
          : sendReading(request, reply, reading),
      )
  }

  app.get<{ Params: Static<typeof KeyParams>; Querystring: WaitParameters }>(
    '/v1/counters/:counter/:key',
    { config: CONFIG, schema: READING_DOCS, validatorCompiler: unchecked, serializerCompiler: asJson },
    (request, reply) => {
      const { counter, key } = request.params
      declaredCounter(counters, counter)
      assertKey(key, 'key')
      assertMayRead(request.access, counter, key)
      if (!request.raw.url?.includes('?')) {
        read(request, reply).catch((error: unknown) => reply.send(error))
        return
      }
      refuseUnknown(request.query, READING_PARAMETERS)
      const parameters = { ...onlyText('wait', request.query), ...onlyText('timeout', request.query) }
      whenReached(request, reply, { parameters, read: () => read(request, reply) })
    },
  )
}

function unchecked(): () => boolean {
  return () => true
}

function onlyText(name: keyof WaitParameters, query: WaitParameters): WaitParameters {
  const text: unknown = query[name]
  if (text === undefined) return {}
  if (typeof text === 'string') return { [name]: text }
  throw new TallyError('invalid_parameter', `${name} is given more than once`, { at: name, expected: 'one' })
}

function sendReading(request: FastifyRequest, reply: FastifyReply, reading: Reading): void {
  // Weak, as `asOf` and `position` move on while the value stays; with the value, as versions start again
  // where a backup is restored.
  const etag = `W/"${reading.version}-${reading.value}"`
  reply.header('etag', etag).header('cache-control', 'no-cache')
  const known = request.raw.headers['if-none-match']
  if (known !== undefined && matches(known, etag)) reply.code(304).send()
  else answerText(reply, JSON_TYPE, readingText(reading))
}

/** If-None-Match, RFC 9110 section 13.1.2: compared weakly. */
function matches(header: string, etag: string): boolean {
  if (header.trim() === '*') return true
  const opaque = etag.slice(2)
  return header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === opaque)
}

function addReadings(app: FastifyInstance, deps: QueryDeps, whenReached: WhenReached): void {
  app.get<{ Params: Static<typeof CounterParams>; Querystring: Static<typeof PageQuery> }>(
    '/v1/counters/:counter',
    { config: CONFIG, schema: READINGS_DOCS, serializerCompiler: asJson },
    (request, reply) => {
      const { counter } = request.params
      const { query } = request
      declaredCounter(deps.counters, counter)
      const keys = keysOf(query)
      if (keys === undefined) assertMayRead(request.access, counter, undefined)
      for (const key of keys ?? []) assertMayRead(request.access, counter, key)
      const after = query.cursor === undefined ? undefined : readCursor(counter, query.cursor)
      const selection = keys === undefined ? { after, limit: query.limit ?? PAGE_LIMIT_DEFAULT } : { keys }
      whenReached(request, reply, {
        parameters: query,
        read: async () => {
          const { readings, nextAfter } = await deps.store.readings(counter, selection)
          const cursor =
            nextAfter === undefined ? '' : `,"cursor":${JSON.stringify(writeCursor(counter, nextAfter))}`
          sendJson(reply, `{"readings":[${readings.map(readingText).join(',')}]${cursor}}`)
        },
      })
    },
  )
}

/** The named keys, or undefined where a page is asked for. */
function keysOf({ keys, key, cursor, limit }: Static<typeof PageQuery>): string[] | undefined {
  if (keys === undefined && key === undefined) return undefined
  if (cursor !== undefined || limit !== undefined) {
    const at = cursor === undefined ? 'limit' : 'cursor'
    throw new TallyError('invalid_parameter', `${at} is for pages, and keys are named here`, {
      at,
      expected: 'either keys, or cursor and limit',
    })
  }
  const named = [...(keys === undefined ? [] : keys.split(',')), ...(key ?? [])]
  if (named.length > KEYS_PER_READ_MAX) {
    throw new TallyError('invalid_parameter', 'Too many keys in one request', {
      at: 'keys',
      expected: `at most ${KEYS_PER_READ_MAX} keys`,
      got: `${named.length} keys`,
    })
  }
  for (const name of named) assertKey(name, keys === undefined ? 'key' : 'keys')
  return named
}

function addTop(app: FastifyInstance, deps: QueryDeps, whenReached: WhenReached): void {
  app.get<{ Params: Static<typeof CounterParams>; Querystring: Static<typeof TopQuery> }>(
    '/v1/counters/:counter/top',
    { config: CONFIG, schema: TOP_DOCS, serializerCompiler: asJson },
    (request, reply) => {
      const { counter } = request.params
      const { query } = request
      const { limit } = query
      declaredCounter(deps.counters, counter)
      assertMayRead(request.access, counter, undefined)
      const spans = topSpans(deps, counter, query)
      whenReached(request, reply, {
        parameters: query,
        read: async () => {
          const keys = await deps.store.top(counter, spans === undefined ? { limit } : { limit, spans })
          sendJson(reply, JSON.stringify({ counter, keys }))
        },
      })
    },
  )
}

function topSpans(
  { counters, now }: QueryDeps,
  counter: string,
  { from, to }: Static<typeof TopQuery>,
): Span[] | undefined {
  if (from === undefined && to === undefined) return undefined
  seriesCounter(counters, counter)
  const toMs = to === undefined ? now() : readInstant(to, 'to')
  const range = { fromMs: from === undefined ? 0 : readInstant(from, 'from'), toMs }
  assertRange(range, { from: 'from', to: 'to' })
  if (range.toMs - range.fromMs > SERIES_RANGE_YEARS_MAX * YEAR_MS) {
    throw new TallyError('range_too_wide', 'The range is too wide', {
      at: 'to',
      expected: `at most ${SERIES_RANGE_YEARS_MAX} years`,
    })
  }
  const { fromMs, toMs: endMs } = wholeMinutes(range.fromMs, range.toMs)
  return spansOf([fromMs, endMs])
}
