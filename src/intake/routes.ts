import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { CountEvent, Idempotency, Outcome, Submission } from '../core/batch.ts'
import type { Counters } from '../core/counter.ts'
import { shown, TallyError } from '../core/errors.ts'
import { textFlaw } from '../core/key-text.ts'
import { KEY_CHARS_MAX } from '../core/limits.ts'
import type { Position } from '../core/position.ts'
import { readingText } from '../core/reading-text.ts'
import { answerText } from '../server/answer.ts'
import { addRawBodyParser } from '../server/body.ts'
import type { Routes } from '../server/route.ts'
import type { Store } from '../store/store.ts'
import { readCounter } from './event.ts'
import { type Arrival, readEventAt } from './event-body.ts'
import type { GroupCommit } from './group-commit.ts'
import { readIdempotency } from './idempotency.ts'
import { assertJson } from './media-type.ts'
import { receiptText } from './receipt.ts'
import { readRequest } from './request-body.ts'
import { ADDITION_ROUTE, CLICK_ROUTE, EVENTS_ROUTE } from './route-docs.ts'

export interface IntakeDeps {
  readonly commit: GroupCommit
  /** Readings after an addition, and the position an empty batch reports. */
  readonly store: Pick<Store, 'readings' | 'positions'>
  readonly counters: Counters
  /** The declared counter behind `/stats/{bannerId}`. */
  readonly statsCounter: string
  /** The clock, milliseconds since the epoch. */
  readonly now: () => number
}

/**
 * The doors for events. Every 2xx is sent after the commit that holds the request's events is durable; a request
 * is counted whole or refused whole.
 *
 * Handlers call back rather than return promises: at these rates a promise for each event shows.
 */
export function intakeRoutes(deps: IntakeDeps): Routes {
  return async (app) => {
    // In a scope of its own, as the bodies of other stages' routes are not raw.
    await app.register(async (scoped) => {
      addRawBodyParser(scoped, ['application/json', 'text/plain', '*'])
      addEvents(scoped, deps)
      addAdditions(scoped, deps)
      addClicks(scoped, deps)
    })
  }
}

const JSON_TYPE = 'application/json; charset=utf-8'

function addEvents(app: FastifyInstance, deps: IntakeDeps): void {
  app.post('/v1/events', EVENTS_ROUTE, (request, reply) => {
    const arrival: Arrival = { counters: deps.counters, nowMs: deps.now(), events: 1 }
    const body = bodyOf(request)
    const submission = refusing(deps.commit, arrival, () =>
      submissionOf(readRequest(body, arrival, request.raw), request, body),
    )
    if (submission.events.length === 0 && submission.idempotency === undefined) {
      answerText(reply, JSON_TYPE, receiptText(NO_COUNTS, deps.store.positions.current()))
      return
    }
    count(deps, { submission, bytes: body?.length ?? 0 }, reply, (text) => answerText(reply, JSON_TYPE, text))
  })
}

const NO_COUNTS = { received: 0, counted: 0, duplicate: 0 }

function addAdditions(app: FastifyInstance, deps: IntakeDeps): void {
  app.post<{ Params: { counter: string; key: string } }>(
    '/v1/counters/:counter/:key',
    ADDITION_ROUTE,
    (request, reply) => {
      const arrival: Arrival = { counters: deps.counters, nowMs: deps.now(), events: 1 }
      const body = bodyOf(request)
      const target = refusing(deps.commit, arrival, () => ({
        counter: declaredIn(deps.counters, request.params.counter),
        key: keyOf('key', request.params.key),
        takesDelta: true,
      }))
      const submission = refusing(deps.commit, arrival, () => {
        if (body !== undefined && body.length > 0) assertJson(request.raw.headers)
        return submissionOf([readEventAt(body, arrival, target)], request, body)
      })
      count(deps, { submission, bytes: body?.length ?? 0 }, reply, () => {
        deps.store.readings(target.counter, { keys: [target.key] }).then(
          ({ readings: [reading] }) => {
            if (reading === undefined) reply.send(NO_READING)
            else answerText(reply, JSON_TYPE, readingText(reading))
          },
          (error: unknown) => reply.send(error),
        )
      })
    },
  )
}

const NO_READING = new TallyError('internal', 'The store answered no reading')

function addClicks(app: FastifyInstance, deps: IntakeDeps): void {
  app.post<{ Params: { bannerId: string } }>('/stats/:bannerId', CLICK_ROUTE, (request, reply) => {
    const arrival: Arrival = { counters: deps.counters, nowMs: deps.now(), events: 1 }
    const body = bodyOf(request)
    const submission = refusing(deps.commit, arrival, () => {
      if (body !== undefined && body.length > 0) assertJson(request.raw.headers)
      const key = keyOf('bannerId', request.params.bannerId)
      const target = { counter: deps.statsCounter, key, takesDelta: false }
      return submissionOf([readEventAt(body, arrival, target)], request, body)
    })
    count(deps, { submission, bytes: body?.length ?? 0 }, reply, (text) => answerText(reply, JSON_TYPE, text))
  })
}

/** The raw body; undefined where the request has none. */
function bodyOf(request: FastifyRequest): Buffer | undefined {
  return Buffer.isBuffer(request.body) ? request.body : undefined
}

/** Runs `read`; if it throws, the events that are known of go to the ledger as rejected. */
function refusing<Result>(commit: GroupCommit, arrival: Arrival, read: () => Result): Result {
  try {
    return read()
  } catch (error) {
    commit.refuse(arrival.events)
    throw error
  }
}

function submissionOf(
  events: readonly CountEvent[],
  request: FastifyRequest,
  body: Buffer | undefined,
): Submission {
  const header = request.raw.headers['idempotency-key']
  return header === undefined ? { events } : { events, idempotency: idempotencyOf(header, request, body) }
}

function idempotencyOf(
  header: string | string[],
  request: FastifyRequest,
  body: Buffer | undefined,
): Idempotency {
  const { method = '', url = '', headers, rawHeaders } = request.raw
  return readIdempotency(String(header), {
    principal: request.access.principal,
    method,
    path: url.split('?', 1)[0] ?? '',
    contentType: headers['content-type'],
    rawHeaders,
    body,
  })
}

interface Countable {
  readonly submission: Submission
  readonly bytes: number
}

/** Commits, then has the answer sent: `send` gets the receipt. */
function count(
  { commit }: IntakeDeps,
  { submission, bytes }: Countable,
  reply: FastifyReply,
  send: (receipt: string) => void,
): void {
  commit.submit(submission, bytes, (error, outcome, position) => {
    const receipt = error ?? receiptOf(outcome, position)
    if (typeof receipt !== 'string') {
      reply.send(receipt)
      return
    }
    if (outcome?.kind === 'replayed') reply.header('idempotency-replayed', 'true')
    send(receipt)
  })
}

function receiptOf(outcome: Outcome | undefined, position: Position | undefined): string | TallyError {
  if (position !== undefined && (outcome?.kind === 'counted' || outcome?.kind === 'replayed')) {
    return receiptText(outcome, position)
  }
  return new TallyError('internal', 'The commit gave no outcome')
}

function declaredIn(counters: Counters, name: string): string {
  return readCounter(name, counters, { path: [], place: {}, parameter: 'counter' })
}

function keyOf(parameter: string, key: string): string {
  const flaw = textFlaw(key, KEY_CHARS_MAX)
  if (flaw === undefined) return key
  throw new TallyError('invalid_parameter', `The key ${flaw}`, {
    at: parameter,
    expected: `1 to ${KEY_CHARS_MAX} characters without control characters`,
    got: shown(key),
  })
}
