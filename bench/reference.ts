import { closeSync, fsyncSync, openSync, unlinkSync, writeSync } from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { Histogram } from './histogram.ts'
import { arrayBody, type RequestShape } from './requests.ts'

/**
 * What Tally is measured against, each a process of its own so that it can be pinned:
 * `reference.ts http`, a bare server that prints its port; `reference.ts parse PLAN`, JSON.parse and a Map;
 * `reference.ts fsync PLAN`, 4 KB appended and fsynced, over and over.
 */
export interface ParsePlan {
  readonly shape: RequestShape
  readonly durationMs: number
}

export interface ParseResult {
  readonly events: number
  readonly seconds: number
  /** CPU time of the process per event, microseconds. */
  readonly cpuUsPerEvent: number
}

export interface FsyncPlan {
  readonly dir: string
  readonly durationMs: number
}

export interface FsyncResult {
  readonly writes: number
  readonly p50Us: number
  readonly p99Us: number
}

/** As long as what Tally answers to the same request. */
const ANSWERS = {
  events: '{"received":1,"counted":1,"duplicate":0,"position":"0a1b2c3d-10000"}',
  reading:
    '{"counter":"clicks","key":"000","value":1000,"version":1000,"position":"0a1b2c3d-10000","asOf":"2026-01-01T00:00:00.000Z"}',
}

const WRITE_BYTES = 4096
const BODIES = 32

/** Nothing but node:http: reads the body, answers a JSON text of the same length. */
function serveBare(): void {
  const server = http.createServer((request, response) => {
    const text = request.method === 'GET' ? ANSWERS.reading : ANSWERS.events
    if (request.method === 'GET' || request.headers['content-length'] === '0') {
      request.resume()
      answer(response, text)
      return
    }
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => answer(response, text))
  })
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    if (address !== null && typeof address !== 'string') {
      process.stdout.write(`http://127.0.0.1:${address.port}\n`)
    }
  })
}

function answer(response: http.ServerResponse, text: string): void {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': text.length })
  response.end(text)
}

/** Bytes to text, JSON.parse, one sum per counter and key. Many bodies, so that no cache holds just one. */
function parse(plan: ParsePlan): ParseResult {
  const bodies = Array.from({ length: BODIES }, () => arrayBody(plan.shape, Date.now()))
  const sums = new Map<string, Map<string, number>>()
  aggregateFor(bodies, sums, plan.durationMs / 4)
  const cpuBefore = process.cpuUsage()
  const startMs = performance.now()
  const events = aggregateFor(bodies, sums, plan.durationMs)
  const seconds = (performance.now() - startMs) / 1000
  const cpu = process.cpuUsage(cpuBefore)
  return { events, seconds, cpuUsPerEvent: (cpu.user + cpu.system) / events }
}

function aggregateFor(bodies: Buffer[], sums: Map<string, Map<string, number>>, ms: number): number {
  const endMs = performance.now() + ms
  let events = 0
  while (performance.now() < endMs) {
    for (const body of bodies) events += aggregate(body, sums)
  }
  return events
}

function aggregate(body: Buffer, sums: Map<string, Map<string, number>>): number {
  const events = JSON.parse(body.toString()) as { counter: string; key: string; delta: number }[]
  for (const event of events) {
    let ofCounter = sums.get(event.counter)
    if (ofCounter === undefined) {
      ofCounter = new Map()
      sums.set(event.counter, ofCounter)
    }
    ofCounter.set(event.key, (ofCounter.get(event.key) ?? 0) + event.delta)
  }
  return events.length
}

/** Appends to a growing file, as a log does; the file's new size is part of what fsync has to make durable. */
function measureFsync(plan: FsyncPlan): FsyncResult {
  const file = path.join(plan.dir, `fsync-${process.pid}.bin`)
  const descriptor = openSync(file, 'w')
  const histogram = new Histogram()
  try {
    const block = Buffer.alloc(WRITE_BYTES, 1)
    const endMs = performance.now() + plan.durationMs
    while (performance.now() < endMs) {
      const startMs = performance.now()
      writeSync(descriptor, block)
      fsyncSync(descriptor)
      histogram.add((performance.now() - startMs) * 1000)
    }
  } finally {
    closeSync(descriptor)
    unlinkSync(file)
  }
  return { writes: histogram.count, p50Us: histogram.quantile(0.5), p99Us: histogram.quantile(0.99) }
}

if (import.meta.main) {
  const [, , what, plan = '{}'] = process.argv
  if (what === 'http') serveBare()
  else if (what === 'parse') process.stdout.write(`${JSON.stringify(parse(JSON.parse(plan)))}\n`)
  else if (what === 'fsync') process.stdout.write(`${JSON.stringify(measureFsync(JSON.parse(plan)))}\n`)
  else throw new Error('expected http, parse or fsync')
}
