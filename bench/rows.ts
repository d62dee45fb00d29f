import type { RateRow } from './throughput.ts'

const KEYS = 1_000
const EVENTS_PER_ARRAY = 1_000
const MANY_CONNECTIONS = 64
const ARRAY_CONNECTIONS = 8

/** Rows whose reference is a bare node:http server that answers the same request. */
export const BARE_ROWS: readonly RateRow[] = [
  {
    row: 'single',
    title: 'single events with a UUIDv7 id, 64 connections, to bare node:http answering the same POST',
    shape: { kind: 'single', keys: KEYS },
    connections: MANY_CONNECTIONS,
    required: 0.6,
    aim: 0.8,
  },
  {
    row: 'stats',
    title: 'POST /stats/{id} with an empty body, 64 connections, likewise',
    shape: { kind: 'stats', keys: KEYS },
    connections: MANY_CONNECTIONS,
    required: 0.65,
    aim: 0.85,
  },
  {
    row: 'read',
    title: 'readers of one counter, 1,000 keys, 64 connections, likewise',
    shape: { kind: 'read', keys: KEYS },
    connections: MANY_CONNECTIONS,
    fill: { kind: 'array', keys: KEYS, eventsPerRequest: EVENTS_PER_ARRAY },
    required: 0.75,
    aim: 0.95,
  },
  {
    row: 'read-hot',
    title: 'readers of one counter, all of the same key, 64 connections, likewise',
    shape: { kind: 'read', keys: 1 },
    connections: MANY_CONNECTIONS,
    fill: { kind: 'array', keys: KEYS, eventsPerRequest: EVENTS_PER_ARRAY },
    required: 0.75,
    aim: 0.95,
  },
]

/** Rows whose reference is JSON.parse with a Map over the same bytes, without any network. */
export const PARSE_ROWS: readonly RateRow[] = [
  {
    row: 'array',
    title: 'arrays of 1,000 events with UUIDv7 ids, 8 connections, events/s, to JSON.parse and a Map',
    shape: { kind: 'array', keys: KEYS, eventsPerRequest: EVENTS_PER_ARRAY },
    connections: ARRAY_CONNECTIONS,
    required: 0.18,
    aim: 0.35,
  },
  {
    row: 'array-keyed',
    title: 'arrays of 1,000 events without ids under one Idempotency-Key, likewise',
    shape: { kind: 'array-keyed', keys: KEYS, eventsPerRequest: EVENTS_PER_ARRAY },
    connections: ARRAY_CONNECTIONS,
    required: 0.45,
    aim: 0.75,
  },
]

/** All rows, in the order in which they run. */
export const ROW_NAMES: readonly string[] = [
  ...BARE_ROWS.map(({ row }) => row),
  ...PARSE_ROWS.map(({ row }) => row),
  'latency',
  'year',
  'soak',
]
