import { get as httpGet, type IncomingMessage } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ClientOptions, WebSocket } from 'ws'
import type { Counters } from '../../src/core/counter.ts'
import { type Composed, startComposed } from '../support/composed.ts'

const COUNTERS: Counters = new Map([
  ['clicks', { name: 'clicks', from: 'events', series: 'minute' }],
  ['likes', { name: 'likes', from: 'events', series: 'minute' }],
])
const SECRET = 'a secret of tests that is long enough to sign'

interface Message {
  type: string
  ref?: string | number
  counter?: string
  key?: string
  value?: number
  version?: number
  position?: string
  code?: string
  at?: string
  received?: number
  counted?: number
  duplicate?: number
}

let composed: Composed
let url = ''

beforeAll(async () => {
  composed = await startComposed({ counters: COUNTERS, port: 0, tokenSecret: SECRET })
  url = await composed.service.listen()
})
afterAll(() => composed.stop())

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function until(condition: () => boolean, timeoutMs = 5_000): Promise<void> {
  const endMs = Date.now() + timeoutMs
  while (!condition()) {
    if (Date.now() > endMs) throw new Error('it did not come about in time')
    await pause(5)
  }
}

async function count(events: readonly Record<string, unknown>[]): Promise<void> {
  const response = await fetch(`${url}/v1/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(events.map((event) => ({ counter: 'clicks', ...event }))),
  })
  expect(response.status).toBe(200)
}

interface Stream {
  readonly response: IncomingMessage
  readonly readings: Message[]
  text: string
  isEnded: boolean
  close(): void
}

function openStream(query: string, headers: Record<string, string> = {}): Promise<Stream> {
  return new Promise((resolve, reject) => {
    const sent = httpGet(`${url}/v1/live?${query}`, { headers }, (response) => {
      const readings: Message[] = []
      const stream: Stream = { response, readings, text: '', isEnded: false, close: () => sent.destroy() }
      let rest = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        stream.text += chunk
        const blocks = (rest + chunk).split('\n\n')
        rest = blocks.pop() ?? ''
        for (const block of blocks) {
          const data = /^data: (.*)$/m.exec(block)?.[1]
          if (data !== undefined) readings.push(JSON.parse(data) as Message)
        }
      })
      response.on('end', () => {
        stream.isEnded = true
      })
      response.on('error', () => undefined)
      resolve(stream)
    })
    sent.on('error', reject)
  })
}

class Socket {
  readonly messages: Message[] = []
  readonly ws: WebSocket
  closed: { code: number; reason: string } | undefined = undefined

  constructor(query = '', options: ClientOptions = {}) {
    this.ws = new WebSocket(`${url.replace('http', 'ws')}/v1/live${query}`, options)
    this.ws.on('message', (data) => this.messages.push(JSON.parse(String(data)) as Message))
    this.ws.on('close', (code, reason) => {
      this.closed = { code, reason: String(reason) }
    })
    this.ws.on('error', () => undefined)
  }

  opened(): Promise<void> {
    return until(() => this.ws.readyState === WebSocket.OPEN)
  }

  send(message: Record<string, unknown>): void {
    this.ws.send(JSON.stringify(message))
  }

  async answer(ref: string | number): Promise<Message> {
    await until(() => this.messages.some((message) => message.ref === ref))
    return this.messages.find((message) => message.ref === ref) as Message
  }

  last(key: string): Message | undefined {
    return this.messages.findLast((message) => message.type === 'reading' && message.key === key)
  }
}

async function openSocket(query = '', options: ClientOptions = {}): Promise<Socket> {
  const socket = new Socket(query, options)
  await socket.opened()
  return socket
}

describe('Server-Sent Events', () => {
  test('the current value first, then absolute values with growing versions', async () => {
    await count([{ key: 'sse', delta: 5 }])
    const stream = await openStream('counter=clicks&key=sse&key=quiet')
    expect(stream.response.statusCode).toBe(200)
    expect(stream.response.headers['content-type']).toBe('text/event-stream; charset=utf-8')
    await until(() => stream.readings.length === 2)
    expect(stream.readings.map(({ key, value }) => [key, value])).toEqual([
      ['sse', 5],
      ['quiet', 0],
    ])
    expect(stream.text).toMatch(/^retry: 2000\n\n/)
    await count([{ key: 'sse', delta: 2 }])
    await until(() => stream.readings.length === 3)
    const [first, , second] = stream.readings
    expect(second).toMatchObject({ counter: 'clicks', key: 'sse', value: 7 })
    expect(second?.version).toBeGreaterThan(first?.version ?? 0)
    expect(stream.text).toContain(`id: ${second?.position}\n`)
    stream.close()
  })

  test('counters and keys pair up', async () => {
    await count([
      { key: 'pair', delta: 3 },
      { counter: 'likes', key: 'pair', delta: 4 },
    ])
    const stream = await openStream('counter=clicks&key=pair&counter=likes&key=pair')
    await until(() => stream.readings.length === 2)
    expect(stream.readings.map(({ counter, value }) => [counter, value]).sort()).toEqual([
      ['clicks', 3],
      ['likes', 4],
    ])
    stream.close()
  })

  test('after a lost connection the next value is right', async () => {
    const before = await openStream('counter=clicks&key=lost')
    await until(() => before.readings.length === 1)
    before.close()
    await count([{ key: 'lost', delta: 9 }])
    const after = await openStream('counter=clicks&key=lost', { 'last-event-id': 'whatever' })
    await until(() => after.readings.length === 1)
    expect(after.readings[0]?.value).toBe(9)
    after.close()
  })

  test('a burst is coalesced and ends with the right value', async () => {
    const stream = await openStream('counter=clicks&key=burst')
    await until(() => stream.readings.length === 1)
    for (let round = 0; round < 100; round++) await count(Array(10).fill({ key: 'burst' }))
    await until(() => stream.readings.at(-1)?.value === 1_000)
    expect(stream.readings.length).toBeLessThan(60)
    stream.close()
  })

  test.each([
    ['', 400, 'invalid_parameter', 'key'],
    ['counter=clicks', 400, 'invalid_parameter', 'key'],
    ['key=a', 400, 'invalid_parameter', 'counter'],
    ['counter=clicks&counter=likes&key=a', 400, 'invalid_parameter', 'key'],
    ['counter=nope&key=a', 404, 'unknown_counter', 'counter'],
    ['counter=clicks&key=', 400, 'invalid_parameter', 'key'],
    ['counter=clicks&key=%00', 400, 'invalid_parameter', 'key'],
    ['counter=clicks&key=a&kye=b', 400, 'invalid_parameter', 'kye'],
    [`counter=clicks&${'key=a&'.repeat(1_001)}`, 400, 'invalid_parameter', 'key'],
  ])('the query %j is refused by name', async (query, status, code, at) => {
    const response = await fetch(`${url}/v1/live?${query}`)
    const problem = (await response.json()) as { code: string; at: string }
    expect([response.status, problem.code, problem.at]).toEqual([status, code, at])
  })
})

describe('WebSocket', () => {
  test('subscribe, unsubscribe, and values from the address', async () => {
    await count([{ key: 'ws', delta: 2 }])
    const socket = await openSocket('?counter=clicks&key=ws')
    await until(() => socket.last('ws')?.value === 2)
    socket.send({ type: 'subscribe', counter: 'likes', keys: ['x', 'y'], ref: 1 })
    expect(await socket.answer(1)).toEqual({ type: 'ack', ref: 1 })
    await until(() => socket.last('y')?.value === 0)
    socket.send({ type: 'unsubscribe', counter: 'clicks', keys: ['ws'], ref: 'two' })
    expect(await socket.answer('two')).toEqual({ type: 'ack', ref: 'two' })
    await count([{ key: 'ws' }, { counter: 'likes', key: 'x', delta: 6 }])
    await until(() => socket.last('x')?.value === 6)
    expect(socket.last('ws')?.value).toBe(2)
    socket.ws.close()
  })

  test('each event gets its own acknowledgement, after which it is counted', async () => {
    const socket = await openSocket()
    for (let ref = 0; ref < 50; ref++) socket.send({ type: 'event', counter: 'clicks', key: 'mine', ref })
    for (let ref = 0; ref < 50; ref++) {
      expect(await socket.answer(ref)).toMatchObject({ type: 'ack', received: 1, counted: 1, duplicate: 0 })
    }
    const { position } = await socket.answer(49)
    const response = await fetch(`${url}/v1/counters/clicks/mine?wait=${position}`)
    expect(await response.json()).toMatchObject({ value: 50 })
    socket.ws.close()
  })

  test('an event whose acknowledgement was lost is counted once when sent again', async () => {
    const event = {
      type: 'event',
      counter: 'clicks',
      key: 'again',
      id: '01936b0e-7c00-7000-8000-000000000001',
    }
    const first = await openSocket()
    first.send({ ...event, ref: 1 })
    await first.answer(1)
    first.ws.terminate()
    const second = await openSocket('?counter=clicks&key=again')
    second.send({ ...event, ref: 1 })
    expect(await second.answer(1)).toMatchObject({ counted: 0, duplicate: 1 })
    await until(() => second.last('again')?.value === 1)
    second.ws.close()
  })

  test('1,000 events a message each, faster than they can be committed, are all acknowledged', async () => {
    const socket = await openSocket('?counter=clicks&key=flood')
    const events = 5_000
    for (let ref = 0; ref < events; ref++)
      socket.send({ type: 'event', counter: 'clicks', key: 'flood', ref })
    await until(() => socket.messages.filter(({ type }) => type === 'ack').length === events, 20_000)
    await until(() => socket.last('flood')?.value === events)
    socket.ws.close()
  })

  test.each([
    ['{', undefined, 'malformed_json', undefined],
    ['[]', undefined, 'invalid_parameter', ''],
    ['"hello"', undefined, 'invalid_parameter', ''],
    ['{"ref":7}', 7, 'invalid_parameter', '/type'],
    ['{"type":"dance","ref":7}', 7, 'invalid_parameter', '/type'],
    ['{"type":"event","ref":{}}', undefined, 'invalid_parameter', '/ref'],
    ['{"type":"event","ref":1.5}', undefined, 'invalid_parameter', '/ref'],
    ['{"type":"subscribe","ref":7,"keys":["a"]}', 7, 'invalid_parameter', '/counter'],
    ['{"type":"subscribe","ref":7,"counter":"clicks"}', 7, 'invalid_parameter', '/keys'],
    ['{"type":"subscribe","ref":7,"counter":"clicks","keys":[]}', 7, 'invalid_parameter', '/keys'],
    ['{"type":"subscribe","ref":7,"counter":"clicks","keys":[1]}', 7, 'invalid_parameter', '/keys'],
    ['{"type":"subscribe","ref":7,"counter":"clicks","keys":[""]}', 7, 'invalid_parameter', 'key'],
    [
      '{"type":"subscribe","ref":7,"counter":"clicks","keys":["a"],"kyes":1}',
      7,
      'invalid_parameter',
      '/kyes',
    ],
    ['{"type":"subscribe","ref":7,"counter":"nope","keys":["a"]}', 7, 'unknown_counter', 'counter'],
    ['{"type":"event","ref":7,"counter":"nope","key":"a"}', 7, 'unknown_counter', '/counter'],
    ['{"type":"event","ref":7,"counter":"clicks"}', 7, 'invalid_event', '/key'],
    ['{"type":"event","ref":7,"counter":"clicks","key":"a","delta":1.5}', 7, 'invalid_event', '/delta'],
    ['{"type":"event","ref":7,"counter":"clicks","key":"a","key":"b"}', 7, 'duplicate_member', '/key'],
  ])('the message %s is answered with its error', async (text, ref, code, at) => {
    const socket = await openSocket()
    socket.ws.send(text)
    await until(() => socket.messages.length > 0)
    const [message] = socket.messages
    expect([message?.type, message?.ref, message?.code, message?.at]).toEqual(['error', ref, code, at])
    // The connection lives on.
    socket.send({ type: 'event', counter: 'clicks', key: 'after', ref: 'after' })
    expect((await socket.answer('after')).type).toBe('ack')
    socket.ws.close()
  })

  test('more keys than one connection may watch are refused, and none of them watched', async () => {
    const socket = await openSocket()
    const keys = Array.from({ length: 1_001 }, (_, index) => `many-${index}`)
    socket.send({ type: 'subscribe', counter: 'clicks', keys, ref: 1 })
    expect(await socket.answer(1)).toMatchObject({ type: 'error', code: 'invalid_parameter', at: 'keys' })
    socket.send({ type: 'subscribe', counter: 'clicks', keys: keys.slice(1), ref: 2 })
    expect((await socket.answer(2)).type).toBe('ack')
    await until(() => socket.messages.filter(({ type }) => type === 'reading').length === 1_000)
    socket.ws.close()
  })

  test('binary messages are refused, oversized ones and broken UTF-8 end the connection', async () => {
    const socket = await openSocket()
    socket.ws.send(Buffer.from('{}'))
    await until(() => socket.messages[0]?.code === 'unsupported_media_type')
    socket.ws.send(`"${'x'.repeat(64 * 1024)}"`)
    await until(() => socket.closed !== undefined)
    expect(socket.closed?.code).toBe(1009)
    const other = await openSocket()
    other.ws.send(Buffer.from([0xc3, 0x28]), { binary: false })
    await until(() => other.closed !== undefined)
    expect(other.closed?.code).toBe(1007)
  })

  test('an address that names nothing valid is told so and closed', async () => {
    const socket = new Socket('?counter=clicks&counter=likes&key=a')
    await until(() => socket.closed !== undefined)
    expect(socket.messages[0]).toMatchObject({ type: 'error', code: 'invalid_parameter' })
    expect(socket.closed?.code).toBe(1008)
  })
})

describe('access', () => {
  async function tokenFor(keys: readonly string[], expiresIn = '1m'): Promise<string> {
    const response = await fetch(`${url}/v1/tokens`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ read: [{ counter: 'clicks', keys }], expiresIn }),
    })
    expect(response.status).toBe(201)
    return ((await response.json()) as { token: string }).token
  }

  test('a token watches its keys and no others, and sends nothing', async () => {
    const token = await tokenFor(['allowed'])
    const stream = await openStream(`counter=clicks&key=allowed&token=${token}`)
    await until(() => stream.readings.length === 1)
    stream.close()
    const refused = await fetch(`${url}/v1/live?counter=clicks&key=other&token=${token}`)
    expect(refused.status).toBe(403)
    const socket = await openSocket(`?token=${token}`)
    socket.send({ type: 'subscribe', counter: 'clicks', keys: ['allowed', 'other'], ref: 1 })
    expect(await socket.answer(1)).toMatchObject({ type: 'error', code: 'forbidden' })
    socket.send({ type: 'event', counter: 'clicks', key: 'allowed', ref: 2 })
    expect(await socket.answer(2)).toMatchObject({ type: 'error', code: 'forbidden' })
    socket.send({ type: 'subscribe', counter: 'clicks', keys: ['allowed'], ref: 3 })
    expect((await socket.answer(3)).type).toBe('ack')
    await until(() => socket.last('allowed')?.value === 0)
    socket.ws.close()
  })

  test('a page of another origin may not open a WebSocket', async () => {
    const socket = new Socket('', { origin: 'https://elsewhere.example' })
    await until(() => socket.closed !== undefined)
    expect(socket.messages).toEqual([])
  })
})

test('an upgrade elsewhere is answered like any request and holds nothing open', async () => {
  const ws = new WebSocket(`${url.replace('http', 'ws')}/v1/ledger`)
  const status = await new Promise((resolve) => {
    ws.on('unexpected-response', (_request, response) => resolve(response.statusCode))
    ws.on('error', () => undefined)
  })
  expect(status).toBe(200)
  ws.terminate()
  const connections = () =>
    new Promise<number>((resolve) =>
      composed.service.app.server.getConnections((_error, open) => resolve(open)),
    )
  const before = await connections()
  await pause(200)
  expect(await connections()).toBeLessThanOrEqual(before)
})

describe('stopping', () => {
  test('events that were taken are acknowledged before the connections close', async () => {
    const other = await startComposed({ counters: COUNTERS, port: 0 })
    const target = await other.service.listen()
    const ws = new WebSocket(`${target.replace('http', 'ws')}/v1/live?counter=clicks&key=last`)
    const messages: Message[] = []
    let code = 0
    ws.on('message', (data) => messages.push(JSON.parse(String(data)) as Message))
    ws.on('close', (closeCode) => {
      code = closeCode
    })
    const stream = httpGet(`${target}/v1/live?counter=clicks&key=last`)
    let isEnded = false
    stream.on('response', (response) => {
      response.resume()
      response.on('end', () => {
        isEnded = true
      })
    })
    await until(() => messages.length > 0)
    for (let ref = 0; ref < 5_000; ref++) {
      ws.send(JSON.stringify({ type: 'event', counter: 'clicks', key: 'last', ref }))
    }
    await until(() => messages.some(({ type }) => type === 'ack'))
    const startMs = Date.now()
    await other.stop()
    await until(() => code !== 0 && isEnded)
    expect(Date.now() - startMs).toBeLessThan(5_000)
    expect(code).toBe(1001)
    const answered = messages.filter(({ type }) => type === 'ack' || type === 'error')
    const acked = answered.filter(({ type }) => type === 'ack').length
    expect(acked).toBeGreaterThan(0)
    for (const { code: refused } of answered.slice(acked)) expect(refused).toBe('shutting_down')
    // Nothing was counted whose sender was left in doubt.
    expect((await other.service.opened.store.ledger())[0]?.counted).toBe(acked)
  })
})
