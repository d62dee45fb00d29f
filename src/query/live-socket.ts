import type { RawData, WebSocket } from 'ws'
import type { Access } from '../core/access.ts'
import type { Counters } from '../core/counter.ts'
import { TallyError } from '../core/errors.ts'
import { LIVE_UNSENT_BYTES_MAX, WEBSOCKET_UNACKED_EVENTS_MAX } from '../core/limits.ts'
import type { Position } from '../core/position.ts'
import type { Reading } from '../core/reading.ts'
import { readingText } from '../core/reading-text.ts'
import type { LiveEnd, LiveFormat, LiveHub, LiveSubscription } from './live-hub.ts'
import { errorText, type MessageRef, readMessage } from './live-messages.ts'
import { assertMayWatch, type LiveTarget } from './live-target.ts'

/** What became of one event. */
export interface EventReceipt {
  readonly received: number
  readonly counted: number
  readonly duplicate: number
  readonly position: Position
}

/**
 * Takes one event from the text of a message; `type` and `ref` in it are not looked at. Calls `done` once, after
 * the event is durable or with what is wrong with it.
 */
export type AcceptEvent = (
  body: Buffer,
  access: Access,
  done: (error: TallyError | undefined, receipt?: EventReceipt) => void,
) => void

export interface LiveSocketDeps {
  readonly hub: LiveHub
  readonly counters: Counters
  readonly acceptEvent: AcceptEvent
}

/** Who is at the other end, and by which stream. */
export interface Connection {
  readonly access: Access
  readonly stream: { readonly bytesWritten: number }
}

const asMessage: LiveFormat = (reading: Reading) =>
  Buffer.from(`{"type":"reading",${readingText(reading).slice(1)}`)

const TEXT = { binary: false } as const
/** RFC 6455 section 7.4.1: going away, policy violation, try again later (RFC 6455 registry). */
const CLOSE_CODES: Readonly<Record<LiveEnd, number>> = { stopping: 1001, expired: 1008, stuck: 1013 }

/**
 * One WebSocket: subscriptions, and events that are acknowledged one by one.
 *
 * Both directions are bounded. While more than WEBSOCKET_UNACKED_EVENTS_MAX events wait for their
 * acknowledgement, or more than LIVE_UNSENT_BYTES_MAX of answers for the client to read them, nothing is read
 * from the socket, so that TCP holds the client back.
 */
export class LiveSocket {
  private readonly socket: WebSocket
  private readonly access: Access
  private readonly deps: LiveSocketDeps
  private readonly subscription: LiveSubscription
  private unacked = 0
  /** Whether anything was heard of the client since the last heartbeat. */
  private isAlive = true
  /** Set when the connection is to end as soon as every event it sent is acknowledged. */
  private ending: LiveEnd | undefined = undefined

  /** Throws `too_many_subscribers` and `shutting_down`. */
  constructor(socket: WebSocket, connection: Connection, deps: LiveSocketDeps) {
    const { access, stream } = connection
    this.socket = socket
    this.access = access
    this.deps = deps
    this.subscription = deps.hub.subscribe({
      format: asMessage,
      expiresMs: access.expiresMs,
      unsentBytes: () => socket.bufferedAmount,
      sentBytes: () => stream.bytesWritten - socket.bufferedAmount,
      write: (frame) => socket.send(frame, TEXT),
      beat: () => this.beat(),
      end: (why) => this.end(why),
    })
    socket.on('message', (data: RawData, isBinary: boolean) => this.receive(data, isBinary))
    socket.on('pong', () => {
      this.isAlive = true
    })
    socket.on('close', () => this.subscription.end())
  }

  /** Watches what the address of the connection names. Errors go to the client. */
  watch(targets: readonly LiveTarget[]): void {
    for (const target of targets) this.subscribe(target, undefined)
  }

  private receive(data: RawData, isBinary: boolean): void {
    this.isAlive = true
    if (isBinary || !Buffer.isBuffer(data)) {
      this.refuse(new TallyError('unsupported_media_type', 'Messages are texts of JSON'), undefined)
      return
    }
    const message = readMessage(data.toString())
    if ('error' in message) this.refuse(message.error, message.ref)
    else if (message.type === 'event') this.count(data, message.ref)
    else if (message.type === 'subscribe') this.subscribe(message, message.ref)
    else {
      this.subscription.remove(message.counter, message.keys)
      this.confirm(message.ref)
    }
  }

  private subscribe(target: LiveTarget, ref: MessageRef | undefined): void {
    try {
      assertMayWatch(target, this.access, this.deps.counters)
      this.subscription.add(target.counter, target.keys)
    } catch (error) {
      if (!(error instanceof TallyError)) throw error
      this.refuse(error, ref)
      return
    }
    this.confirm(ref)
  }

  private confirm(ref: MessageRef | undefined): void {
    if (ref !== undefined) this.reply(JSON.stringify({ type: 'ack', ref }))
  }

  private count(body: Buffer, ref: MessageRef | undefined): void {
    if (this.ending !== undefined) {
      const error = new TallyError('shutting_down', 'This connection is being closed', { retryAfterS: 1 })
      this.refuse(error, ref)
      return
    }
    this.unacked++
    this.deps.acceptEvent(body, this.access, (error, receipt) => {
      this.unacked--
      if (receipt !== undefined) this.reply(JSON.stringify({ type: 'ack', ref, ...receipt }))
      else this.refuse(error ?? new TallyError('internal', 'The event has no outcome'), ref)
      this.closeIfDone()
      this.holdOrRelease()
    })
    this.holdOrRelease()
  }

  private refuse(error: TallyError, ref: MessageRef | undefined): void {
    this.reply(errorText(error, ref))
  }

  private reply(text: string): void {
    if (this.socket.readyState !== this.socket.OPEN) return
    this.socket.send(text, () => this.holdOrRelease())
    this.holdOrRelease()
  }

  /** Stops or goes on reading. Frames that were received already are still handled: at most one chunk of them. */
  private holdOrRelease(): void {
    const { socket } = this
    if (this.unacked >= WEBSOCKET_UNACKED_EVENTS_MAX || socket.bufferedAmount > LIVE_UNSENT_BYTES_MAX) {
      if (!socket.isPaused) socket.pause()
    } else if (socket.isPaused) socket.resume()
  }

  private beat(): void {
    // While nothing is read, no pong can be.
    if (!this.isAlive && !this.socket.isPaused) {
      this.socket.terminate()
      return
    }
    this.isAlive = false
    this.socket.ping()
  }

  private end(why: LiveEnd): void {
    if (why === 'stuck') {
      this.socket.terminate()
      return
    }
    this.ending = why
    this.closeIfDone()
  }

  private closeIfDone(): void {
    if (this.ending === undefined || this.unacked > 0) return
    this.socket.close(CLOSE_CODES[this.ending], this.ending)
    // The answer to the close has to be read.
    this.socket.resume()
  }
}
