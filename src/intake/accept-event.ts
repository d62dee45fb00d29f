import type { Access } from '../core/access.ts'
import type { CountEvent, Counts } from '../core/batch.ts'
import type { Counters } from '../core/counter.ts'
import { TallyError } from '../core/errors.ts'
import type { Position } from '../core/position.ts'
import { type Arrival, readOneEvent } from './event-body.ts'
import type { GroupCommit } from './group-commit.ts'

/** Called once, after the event is durable, or with what is wrong with it. */
export type EventDone = (error: TallyError | undefined, receipt?: Counts & { position: Position }) => void

/**
 * Takes one event that did not come as a request of its own: the text of a WebSocket message, an object of an
 * event's members and, for the sender's use, `type` and `ref`, which are not looked at here.
 * Errors as for `POST /v1/events`, and `forbidden` without the scope `write`.
 */
export type AcceptEvent = (body: Buffer, access: Access, done: EventDone) => void

export interface AcceptEventDeps {
  readonly commit: GroupCommit
  readonly counters: Counters
  /** The clock, milliseconds since the epoch. */
  readonly now: () => number
}

export function createAcceptEvent({ commit, counters, now }: AcceptEventDeps): AcceptEvent {
  return (body, access, done) => {
    const arrival: Arrival = { counters, nowMs: now(), events: 1 }
    let event: CountEvent
    try {
      if (!access.allows('write')) throw new TallyError('forbidden', 'Sending events needs the scope write')
      event = readOneEvent(body, arrival)
    } catch (error) {
      commit.refuse(arrival.events)
      done(error instanceof TallyError ? error : new TallyError('internal', 'Unexpected', { cause: error }))
      return
    }
    commit.submit({ events: [event] }, body.length, (error, outcome, position) => {
      if (error !== undefined) done(error)
      else if (position !== undefined && (outcome?.kind === 'counted' || outcome?.kind === 'replayed')) {
        const { received, counted, duplicate } = outcome
        done(undefined, { received, counted, duplicate, position })
      } else done(new TallyError('internal', 'The commit gave no outcome'))
    })
  }
}
