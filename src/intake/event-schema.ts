import { type Static, Type } from 'typebox'
import { COUNTER_NAME_PATTERN } from '../core/counter.ts'
import { textPattern } from '../core/key-text.ts'
import { DELTA_MAX, EVENT_ID_CHARS_MAX, EVENTS_PER_REQUEST_MAX, KEY_CHARS_MAX } from '../core/limits.ts'

/**
 * The shapes of what intake takes, for OpenAPI. The readers in event.ts are written by hand for speed;
 * event.test.ts holds the two together, value by value.
 */

const Delta = Type.Integer({
  minimum: -DELTA_MAX,
  maximum: DELTA_MAX,
  default: 1,
  description: 'What to add. Judged by its value: 1, 1.0 and 1e0 are the same whole number.',
})

const Id = Type.String({
  pattern: textPattern(EVENT_ID_CHARS_MAX),
  description:
    'Makes the event repeatable: a second event with this id is not counted again. A UUIDv7 is cheapest to keep.',
  examples: ['01932c07-36e0-7c52-b6a1-0d3f5a2b9c11'],
})

const Time = Type.String({
  format: 'date-time',
  description: 'When it happened (RFC 3339), from 1970 to one day ahead of now; without it, when it arrived.',
  examples: ['2026-11-21T04:00:00Z'],
})

export const EventSchema = Type.Object(
  {
    counter: Type.String({ pattern: COUNTER_NAME_PATTERN, description: 'A declared counter.' }),
    key: Type.String({ pattern: textPattern(KEY_CHARS_MAX), description: 'Whose number it is.' }),
    delta: Type.Optional(Delta),
    id: Type.Optional(Id),
    time: Type.Optional(Time),
  },
  { additionalProperties: false, title: 'Event', examples: [{ counter: 'clicks', key: '7' }] },
)

export const EventsSchema = Type.Union([
  EventSchema,
  Type.Array(EventSchema, { maxItems: EVENTS_PER_REQUEST_MAX }),
])

/** The body of `POST /v1/counters/{counter}/{key}`, where the path says the rest. */
export const AdditionSchema = Type.Object(
  { delta: Type.Optional(Delta), id: Type.Optional(Id), time: Type.Optional(Time) },
  { additionalProperties: false, title: 'Addition' },
)

/** The body of `POST /stats/{bannerId}`: a click is always one. */
export const ClickSchema = Type.Object(
  { id: Type.Optional(Id), time: Type.Optional(Time) },
  { additionalProperties: false, title: 'Click' },
)

export const ReceiptSchema = Type.Object(
  {
    received: Type.Integer({ minimum: 0, description: 'Events in the request.' }),
    counted: Type.Integer({ minimum: 0, description: 'Events that changed a counter now.' }),
    duplicate: Type.Integer({ minimum: 0, description: 'Events whose id was counted before.' }),
    position: Type.String({ description: 'Readings at or past this position contain the events.' }),
  },
  { title: 'Receipt' },
)

export type Receipt = Static<typeof ReceiptSchema>
