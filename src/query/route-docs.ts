import { Type } from 'typebox'
import { textPattern } from '../core/key-text.ts'
import {
  BUCKETS_PER_SERIES_MAX,
  KEY_CHARS_MAX,
  KEYS_PER_READ_MAX,
  PAGE_LIMIT_DEFAULT,
  PAGE_LIMIT_MAX,
  WAIT_TIMEOUT_MS_DEFAULT,
  WAIT_TIMEOUT_MS_MAX,
} from '../core/limits.ts'
import { WINDOW_WIDTHS } from '../core/windows.ts'

/** The schemas of the reading routes: what their parameters must be, and what OpenAPI tells of them. */

const CounterName = Type.String({ description: 'A declared counter.' })
const Key = Type.String({ pattern: textPattern(KEY_CHARS_MAX), description: 'Whose number it is.' })

export const CounterParams = Type.Object({ counter: CounterName })
export const KeyParams = Type.Object({ counter: CounterName, key: Key })
export const BannerParams = Type.Object({ bannerId: Key })

const Wait = {
  wait: Type.Optional(
    Type.String({ description: 'A position from an earlier answer; the reading contains all up to it.' }),
  ),
  timeout: Type.Optional(
    Type.String({
      pattern: '^[0-9]{1,5}(ms|s)$',
      description: `How long to wait for that: such as 250ms or 5s, at most ${WAIT_TIMEOUT_MS_MAX / 1000}s; without it ${WAIT_TIMEOUT_MS_DEFAULT / 1000}s.`,
    }),
  ),
}

const instant = (description: string) => Type.Optional(Type.String({ format: 'date-time', description }))
const closed = { additionalProperties: false }
const TimeZoneName = Type.String({
  default: 'UTC',
  maxLength: 64,
  description: 'An IANA time zone such as Europe/Berlin.',
})
const Limit = Type.Integer({ minimum: 1, maximum: PAGE_LIMIT_MAX, default: PAGE_LIMIT_DEFAULT })

export const WaitQuery = Type.Object(Wait, closed)

export const PageQuery = Type.Object(
  {
    keys: Type.Optional(
      Type.String({
        description: `The keys to read, separated by commas; with \`key\` together at most ${KEYS_PER_READ_MAX}.`,
      }),
    ),
    key: Type.Optional(
      Type.Array(Type.String(), {
        description: 'A key to read as it is, commas and all; can be given many times.',
      }),
    ),
    cursor: Type.Optional(Type.String({ description: 'The cursor of the page before.' })),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: PAGE_LIMIT_MAX, description: 'Size of the page.' }),
    ),
    ...Wait,
  },
  closed,
)

export const TopQuery = Type.Object(
  {
    limit: Limit,
    from: instant('Only what was counted from here on, moved down to a whole minute.'),
    to: instant('Only what was counted before, moved up to a whole minute.'),
    ...Wait,
  },
  closed,
)

export const SeriesQuery = Type.Object(
  {
    from: instant(
      'The window that holds it is the first; without it the last 60 minutes, 24 hours or 30 days.',
    ),
    to: instant('The window that holds the instant before it is the last; without it, now.'),
    window: Type.Enum([...WINDOW_WIDTHS], { default: 'minute', description: 'The width of a window.' }),
    tz: TimeZoneName,
    fill: Type.Enum(['none', 'zero'], {
      default: 'none',
      description: 'Whether windows in which nothing was counted are left out, or listed with a count of 0.',
    }),
    ...Wait,
  },
  closed,
)

export const StatsQuery = Type.Object(
  {
    tsFrom: instant('The minute that holds it is the first; without it the 60 minutes up to tsTo.'),
    tsTo: instant('The minute that holds the instant before it is the last; without it, now.'),
  },
  closed,
)

export const Reading = Type.Object(
  {
    counter: Type.String(),
    key: Type.String(),
    value: Type.Integer(),
    version: Type.Integer({ minimum: 0, description: 'Grows with every change of the key.' }),
    position: Type.String({ description: 'The value contains everything up to here; opaque.' }),
    asOf: Type.String({ format: 'date-time', description: 'When the value was current.' }),
  },
  { title: 'Reading' },
)

const Readings = Type.Object({
  readings: Type.Array(Reading),
  cursor: Type.Optional(Type.String({ description: 'Where the next page starts; absent on the last.' })),
})

const Top = Type.Object({
  counter: Type.String(),
  keys: Type.Array(Type.Object({ key: Type.String(), value: Type.Integer() })),
})

const Series = Type.Object({
  counter: Type.String(),
  key: Type.String(),
  window: Type.Enum([...WINDOW_WIDTHS]),
  tz: Type.String(),
  buckets: Type.Array(
    Type.Object({
      timestamp: Type.String({
        format: 'date-time',
        description: 'Start of the window, with the zone’s offset.',
      }),
      count: Type.Integer(),
    }),
  ),
})

const Stats = Type.Array(
  Type.Object({
    timestamp: Type.String({ format: 'date-time' }),
    bannerId: Type.String(),
    count: Type.Integer(),
  }),
)

const Ledger = Type.Object({
  streams: Type.Array(
    Type.Object({
      stream: Type.String(),
      received: Type.Integer(),
      counted: Type.Integer(),
      duplicate: Type.Integer(),
      rejected: Type.Integer(),
      pending: Type.Integer(),
      difference: Type.Integer({
        description: 'received − counted − duplicate − rejected − pending: always 0.',
      }),
    }),
  ),
})

/** JSON, or CSV where Accept prefers it. */
function tabular(schema: object, header: string) {
  const csv = Type.String({ description: `RFC 4180 with the header ${header}` })
  return {
    description: 'By Accept, JSON or CSV',
    content: { 'application/json': { schema }, 'text/csv': { schema: csv } },
  }
}

const tags = ['query']

export const READING_DOCS = {
  tags,
  summary: 'Read one value',
  description: 'A key that never counted reads 0 at version 0. The ETag changes when the value does.',
  params: KeyParams,
  querystring: WaitQuery,
  response: { 200: Reading, 304: Type.Null({ description: 'Unchanged since the ETag in If-None-Match' }) },
}

export const READINGS_DOCS = {
  tags,
  summary: 'Read many values, or page through all of them',
  description: 'With keys, their readings in that order; without, a page in the order of the keys.',
  params: CounterParams,
  querystring: PageQuery,
  response: { 200: Readings },
}

export const TOP_DOCS = {
  tags,
  summary: 'The keys with the highest values',
  description:
    'Of all time; or with from or to, by what was counted in that range. Ties are in the order of keys.',
  params: CounterParams,
  querystring: TopQuery,
  response: { 200: Top },
}

export const SERIES_DOCS = {
  tags,
  summary: 'What a key counted, window by window',
  description: `Windows are whole and follow the clock of the time zone; at most ${BUCKETS_PER_SERIES_MAX} of them lie in one range.`,
  params: KeyParams,
  querystring: SeriesQuery,
  response: { 200: tabular(Series, 'timestamp,count') },
}

export const STATS_DOCS = {
  tags: ['query', 'stats'],
  summary: 'What a banner counted, minute by minute',
  description:
    'The instants stand in the query or in a JSON body. Minutes in which nothing was counted are left out.',
  params: BannerParams,
  querystring: StatsQuery,
  response: { 200: tabular(Stats, 'timestamp,bannerId,count') },
}

/** OpenAPI Request Body Object: Fastify takes no schema for the body of a GET. */
export const STATS_BODY = {
  required: false,
  content: { 'application/json': { schema: StatsQuery } },
}

export const LEDGER_DOCS = {
  tags,
  summary: 'What became of every event',
  description: 'received = counted + duplicate + rejected + pending, for every stream, at any moment.',
  response: { 200: Ledger },
}
