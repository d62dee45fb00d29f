import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { type Composed, startComposed } from '../support/composed.ts'

const MIB = 1024 * 1024

let composed: Composed
let url = ''

beforeAll(async () => {
  composed = await startComposed({ port: 0 })
  url = await composed.service.listen()
})
afterAll(() => composed.stop())

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function until(condition: () => boolean, timeoutMs = 10_000): Promise<void> {
  const endMs = Date.now() + timeoutMs
  while (!condition()) {
    if (Date.now() > endMs) throw new Error('it did not come about in time')
    await pause(5)
  }
}

async function count(keys: readonly string[]): Promise<void> {
  const response = await fetch(`${url}/v1/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(keys.map((key) => ({ counter: 'clicks', key }))),
  })
  expect(response.status).toBe(200)
}

async function currentValue(key: string): Promise<number> {
  const response = await fetch(`${url}/v1/counters/clicks/${key}`)
  return ((await response.json()) as { value: number }).value
}

/** A text frame of RFC 6455, masked as a client has to; the mask of zeros leaves the text as it is. */
function frame(text: string): Buffer {
  const payload = Buffer.from(text)
  const head = Buffer.alloc(8)
  head[0] = 0x81
  head[1] = 0x80 | 126
  head.writeUInt16BE(payload.length, 2)
  return Buffer.concat([head, payload])
}

/** Opens a WebSocket, sends the messages, and never reads a byte. */
function openDeaf(messages: readonly string[]): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.pause()
      socket.write(
        `GET /v1/live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
      )
      socket.write(Buffer.concat(messages.map(frame)))
      socket.on('error', () => undefined)
      resolve(socket)
    })
  })
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** What is still held after a collection; garbage says nothing about bounds. */
function heldBytes(): number {
  collect()
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  return heapUsed + external + arrayBuffers
}

describe('clients that do not read', () => {
  test('1,000 of them hold no memory while values change, and others are served as ever', async () => {
    const deaf = await Promise.all(
      Array.from({ length: 1_000 }, () =>
        openDeaf([JSON.stringify({ type: 'subscribe', counter: 'clicks', keys: ['hot'] })]),
      ),
    )
    const reader = new WebSocket(`${url.replace('http', 'ws')}/v1/live?counter=clicks&key=hot`)
    let last = 0
    reader.on('message', (data) => {
      last = (JSON.parse(String(data)) as { value: number }).value
    })
    await until(() => reader.readyState === WebSocket.OPEN)
    await count(['hot'])
    await until(() => last === 1)
    const before = heldBytes()
    let changes = 1
    let slowestMs = 0
    const endMs = Date.now() + 3_000
    while (Date.now() < endMs) {
      const startMs = performance.now()
      await count(Array(100).fill('hot'))
      slowestMs = Math.max(slowestMs, performance.now() - startMs)
      changes += 100
    }
    expect(await currentValue('hot')).toBe(changes)
    await until(() => last === changes)
    expect(slowestMs).toBeLessThan(1_000)
    expect(heldBytes() - before).toBeLessThan(32 * MIB)
    for (const socket of deaf) socket.destroy()
    reader.terminate()
  })

  test('one that fell behind holds at most its bound, and then reads the newest values', async () => {
    const keys = Array.from({ length: 200 }, (_, index) => `${index}-${'🍌'.repeat(250)}`)
    const slow = await openWatcher(keys)
    const quick = await openWatcher(keys)
    slow.ws.pause()
    const before = heldBytes()
    const seenBefore = slow.seen.length
    const rounds = 120
    for (let round = 0; round < rounds; round++) {
      await count(keys)
      await pause(40)
    }
    await until(() => isCurrent(quick, keys, rounds))
    expect(heldBytes() - before).toBeLessThan(32 * MIB)
    slow.ws.resume()
    await until(() => isCurrent(slow, keys, rounds))
    // Beyond what the kernel's buffers took, changes were coalesced instead of kept.
    expect(slow.seen.length - seenBefore).toBeLessThan(quick.seen.length * 0.8)
    slow.ws.terminate()
    quick.ws.terminate()
  })

  test('one that sends events without reading its acknowledgements is held back, and loses none', async () => {
    const batch = Array.from({ length: 200 }, (_, ref) =>
      JSON.stringify({ type: 'event', counter: 'clicks', key: 'deaf', ref: `${ref}-${'r'.repeat(50)}` }),
    )
    const deaf = await openDeaf([])
    const chunk = Buffer.concat(batch.map(frame))
    const before = heldBytes()
    let sent = 0
    // What the kernel's buffers hold comes on top; after that the socket takes no more.
    for (let round = 0; round < 600; round++) {
      const isFlushed = deaf.write(chunk)
      sent += batch.length
      if (isFlushed) await pause(0)
      else if (!(await Promise.race([pause(1_000), drained(deaf)]))) break
    }
    expect(sent).toBeLessThan(600 * batch.length)
    const counted = await currentValue('deaf')
    expect(counted).toBeLessThan(sent)
    expect(heldBytes() - before).toBeLessThan(16 * MIB)
    let acked = 0
    let rest = ''
    deaf.on('data', (data) => {
      const text = rest + data.toString('latin1')
      acked += text.split('"counted":1').length - 1
      rest = text.slice(-10)
    })
    deaf.resume()
    await until(() => acked === sent, 30_000)
    expect(await currentValue('deaf')).toBe(sent)
    deaf.destroy()
  })
})

interface Watcher {
  readonly ws: WebSocket
  readonly seen: { key: string; value: number }[]
  readonly newest: Map<string, number>
}

async function openWatcher(keys: readonly string[]): Promise<Watcher> {
  const ws = new WebSocket(`${url.replace('http', 'ws')}/v1/live`)
  const watcher: Watcher = { ws, seen: [], newest: new Map() }
  ws.on('message', (data) => {
    const message = JSON.parse(String(data)) as { type: string; key: string; value: number }
    if (message.type !== 'reading') return
    watcher.seen.push(message)
    watcher.newest.set(message.key, message.value)
  })
  await until(() => ws.readyState === WebSocket.OPEN)
  for (let from = 0; from < keys.length; from += 50) {
    ws.send(JSON.stringify({ type: 'subscribe', counter: 'clicks', keys: keys.slice(from, from + 50) }))
  }
  await until(() => watcher.newest.size === keys.length)
  return watcher
}

function isCurrent({ newest }: Watcher, keys: readonly string[], value: number): boolean {
  return keys.every((key) => newest.get(key) === value)
}

function drained(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => socket.once('drain', () => resolve(true)))
}
