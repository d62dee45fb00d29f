import type { ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'
import { LIVE_RETRY_MS } from '../core/limits.ts'
import type { Reading } from '../core/reading.ts'
import { readingText } from '../core/reading-text.ts'
import type { LiveFormat, LiveHub, LiveSubscription } from './live-hub.ts'
import type { LiveTarget } from './live-target.ts'

/**
 * A reading as a Server-Sent Event (HTML Living Standard, section 9.2). Its id is the position, for whoever
 * wants to wait for it; a client that connects again needs no history, since values are absolute.
 */
const asServerSentEvent: LiveFormat = (reading: Reading) =>
  Buffer.from(`event: reading\nid: ${reading.position}\ndata: ${readingText(reading)}\n\n`)

const COMMENT = ':\n\n'

/** Turns the request into a stream of Server-Sent Events. Throws what subscribing throws, and then sends nothing. */
export function serveEvents(
  reply: FastifyReply,
  hub: LiveHub,
  options: { targets: readonly LiveTarget[]; expiresMs: number | undefined },
): void {
  const { raw } = reply
  const subscription = hub.subscribe({
    format: asServerSentEvent,
    expiresMs: options.expiresMs,
    unsentBytes: () => raw.writableLength,
    sentBytes: () => (raw.socket?.bytesWritten ?? 0) - raw.writableLength,
    write: (frame) => raw.write(frame),
    beat: () => raw.write(COMMENT),
    // What is stuck would never get to the end.
    end: (why) => (why === 'stuck' ? raw.destroy() : raw.end()),
  })
  try {
    for (const { counter, keys } of options.targets) subscription.add(counter, keys)
  } catch (error) {
    subscription.end()
    throw error
  }
  reply.hijack()
  open(raw, reply, subscription)
}

function open(raw: ServerResponse, reply: FastifyReply, subscription: LiveSubscription): void {
  raw.on('close', () => subscription.end())
  raw.on('error', () => raw.destroy())
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined) raw.setHeader(name, value)
  }
  raw.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    // Proxies that gather answers before they pass them on would hold the stream back.
    'x-accel-buffering': 'no',
  })
  raw.write(`retry: ${LIVE_RETRY_MS}\n\n`)
}
