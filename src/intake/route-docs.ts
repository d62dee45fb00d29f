import type { RouteShorthandOptions } from 'fastify'
import { type TSchema, Type } from 'typebox'
import { textPattern } from '../core/key-text.ts'
import { KEY_CHARS_MAX } from '../core/limits.ts'
import { AdditionSchema, ClickSchema, EventSchema, EventsSchema, ReceiptSchema } from './event-schema.ts'

/**
 * What OpenAPI says of the routes in routes.ts. Nothing here runs for a request: the readers judge bodies and
 * names, and answers are sent as text.
 */

const Key = Type.String({ pattern: textPattern(KEY_CHARS_MAX), description: 'Whose number it is.' })

const IdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      pattern: '^[!-~]{1,256}$',
      description: 'Makes the whole request repeatable: the same key and request get the stored answer.',
    }),
  ),
})

const CloudEventSchema = Type.Object(
  {
    specversion: Type.Literal('1.0'),
    id: Type.String({ minLength: 1 }),
    source: Type.String({ minLength: 1, format: 'uri-reference' }),
    type: Type.String({ minLength: 1, description: 'A type that a counter names.' }),
    subject: Type.Optional(Type.String({ minLength: 1 })),
    time: Type.Optional(Type.String({ format: 'date-time' })),
    datacontenttype: Type.Optional(Type.String()),
    dataschema: Type.Optional(Type.String({ format: 'uri' })),
    data: Type.Optional(Type.Unknown()),
    data_base64: Type.Optional(Type.String({ contentEncoding: 'base64' })),
  },
  { title: 'CloudEvent' },
)

const ReadingSchema = Type.Object(
  {
    counter: Type.String(),
    key: Type.String(),
    value: Type.Integer(),
    version: Type.Integer({ minimum: 0 }),
    position: Type.String(),
    asOf: Type.String({ format: 'date-time' }),
  },
  { title: 'Reading' },
)

function content(types: Readonly<Record<string, TSchema>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(types).map(([type, schema]) => [type, { schema }]))
}

const unchecked = {
  validatorCompiler: () => () => true,
  serializerCompiler: () => (value: unknown) => JSON.stringify(value),
} satisfies RouteShorthandOptions

export const EVENTS_ROUTE: RouteShorthandOptions = {
  ...unchecked,
  config: {
    scope: 'write',
    requestBody: {
      required: true,
      content: content({
        'application/json': EventsSchema,
        'application/x-ndjson': EventSchema,
        'application/cloudevents+json': CloudEventSchema,
        'application/cloudevents-batch+json': Type.Array(CloudEventSchema),
      }),
    },
  },
  schema: {
    tags: ['intake'],
    summary: 'Count events',
    description:
      'One event, an array, NDJSON, or CloudEvents 1.0 (structured, batch, or binary with `ce-` headers). Counted whole or refused whole; answered when durable.',
    headers: IdempotencyHeaders,
    response: { 200: ReceiptSchema },
  },
}

export const ADDITION_ROUTE: RouteShorthandOptions = {
  ...unchecked,
  config: {
    scope: 'write',
    requestBody: { required: false, content: content({ 'application/json': AdditionSchema }) },
  },
  schema: {
    tags: ['intake'],
    summary: 'Add to one key and read it',
    description: 'Without a body it adds 1. Answers the value after the addition, when that is durable.',
    params: Type.Object({ counter: Type.String({ description: 'A declared counter.' }), key: Key }),
    headers: IdempotencyHeaders,
    response: { 200: ReadingSchema },
  },
}

export const CLICK_ROUTE: RouteShorthandOptions = {
  ...unchecked,
  config: {
    scope: 'write',
    requestBody: { required: false, content: content({ 'application/json': ClickSchema }) },
  },
  schema: {
    tags: ['intake', 'stats'],
    summary: 'Count one click',
    description: 'The short form for the counter that the configuration names: an empty body is one click.',
    params: Type.Object({ bannerId: Key }),
    headers: IdempotencyHeaders,
    response: { 200: ReceiptSchema },
  },
}
