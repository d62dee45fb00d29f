import type { IncomingMessage } from 'node:http'
import type { CountEvent } from '../core/batch.ts'
import { readBatch, readBinary, readStructured } from './cloudevent-body.ts'
import { type Arrival, readEventLines, readEvents } from './event-body.ts'
import { bodyKindOf } from './media-type.ts'

const EMPTY = Buffer.alloc(0)

/** Reads the events of a request to `POST /v1/events`, whatever shape its headers say they have. */
export function readRequest(body: Buffer | undefined, arrival: Arrival, raw: IncomingMessage): CountEvent[] {
  switch (bodyKindOf(raw.headers)) {
    case 'json':
      return readEvents(body ?? EMPTY, arrival)
    case 'lines':
      return readEventLines(body ?? EMPTY, arrival)
    case 'structured':
      return readStructured(body ?? EMPTY, arrival)
    case 'batch':
      return readBatch(body ?? EMPTY, arrival)
    case 'binary':
      return readBinary(body, arrival, raw.rawHeaders)
  }
}
