import { execFileSync } from 'node:child_process'
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { MINUTE_MS } from '../../src/core/limits.ts'
import { type Finished, makeWorkplace, type Running, type Workplace } from '../support/command-line.ts'
import { type LogFile, makeLog, note, type Truth } from '../support/log-file.ts'
import { seededRandom } from '../support/seeded-random.ts'

const LINES = 10_000
const PART_BYTES = 10_000
const REAL_LOG = join(import.meta.dirname, '..', '..', '..', 'shared', 'data', 'access.log')
const SUMMARY = /^([\d,]+) read: ([\d,]+) counted, ([\d,]+) counted before, ([\d,]+) skipped$/m

interface Scene extends LogFile, Workplace {
  readonly file: string
}

function makeScene(name: string): Scene {
  const workplace = makeWorkplace()
  const log = makeLog(LINES, seededRandom(name))
  const file = join(workplace.folder, 'access.log')
  writeFileSync(file, `${log.lines.join('\n')}\n`)
  return { ...workplace, ...log, file }
}

/** The numbers of the summary: read, counted, duplicate, skipped. */
function summary({ stdout, stderr, code }: Finished): number[] {
  const match = SUMMARY.exec(stdout)
  if (match === null) throw new Error(`no summary (exit ${code}): ${stdout}${stderr}`)
  return match.slice(1).map((text) => Number(text.replaceAll(',', '')))
}

async function serve(workplace: Workplace, port = 0): Promise<{ url: string; server: Running }> {
  const server = workplace.start(['serve', '--json', '--port', String(port)])
  while (!server.stdout().includes('\n')) {
    if (server.child.exitCode !== null) throw new Error(server.stderr())
    await sleep(20)
  }
  return { url: (JSON.parse(server.stdout()) as { url: string }).url, server }
}

async function stop({ child, finished }: Running, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  child.kill(signal)
  await finished
}

/** Reads everything back over HTTP: every value, and every minute of every key. */
async function readTruth(
  url: string,
  counter = 'clicks',
): Promise<{ values: Map<string, number>; minutes: Truth }> {
  const values = new Map<string, number>()
  let cursor: string | undefined
  do {
    const query = new URLSearchParams({ limit: '1000', ...(cursor === undefined ? {} : { cursor }) })
    const page = (await (await fetch(`${url}/v1/counters/${counter}?${query}`)).json()) as {
      readings: { key: string; value: number }[]
      cursor?: string
    }
    for (const { key, value } of page.readings) values.set(key, value)
    cursor = page.cursor
  } while (cursor !== undefined)
  const minutes: Truth = new Map()
  for (const key of values.keys()) minutes.set(key, await readMinutes(url, counter, key))
  return { values, minutes }
}

async function readMinutes(url: string, counter: string, key: string): Promise<Map<number, number>> {
  const path = `${url}/v1/counters/${counter}/${encodeURIComponent(key)}/series`
  const minutes = new Map<number, number>()
  // Both logs lie within these days, each within a range of fewer minutes than one answer may hold.
  for (const [from, to] of [
    ['2015-05-17', '2015-05-22'],
    ['2026-03-27', '2026-04-02'],
  ]) {
    const query = new URLSearchParams({ from: `${from}T00:00:00Z`, to: `${to}T00:00:00Z`, window: 'minute' })
    const response = await fetch(`${path}?${query}`)
    if (response.status !== 200) throw new Error(await response.text())
    const { buckets } = (await response.json()) as { buckets: { timestamp: string; count: number }[] }
    for (const { timestamp, count } of buckets) minutes.set(Date.parse(timestamp) / MINUTE_MS, count)
  }
  return minutes
}

function valuesOf(truth: Truth): Map<string, number> {
  return new Map(
    [...truth].map(([key, minutes]) => [key, [...minutes.values()].reduce((sum, count) => sum + count, 0)]),
  )
}

function sorted<T>(map: ReadonlyMap<string, T>): [string, T][] {
  return [...map].sort(([left], [right]) => (left < right ? -1 : 1))
}

function plainMinutes(truth: Truth): [string, [number, number][]][] {
  return sorted(truth).map(([key, minutes]) => [key, [...minutes].sort(([left], [right]) => left - right)])
}

/** Values and every minute equal the truth, read from a service on the workplace's store. */
async function expectTruth(workplace: Workplace, truth: Truth): Promise<void> {
  const { url, server } = await serve(workplace)
  const found = await readTruth(url)
  await stop(server)
  expect(sorted(found.values)).toEqual(sorted(valuesOf(truth)))
  expect(plainMinutes(found.minutes)).toEqual(plainMinutes(truth))
}

/** What awk says of a log: key and minute of every line, by its seventh and fourth field. */
function awkTruth(file: string): Truth {
  const program = '{ print substr($4, 2, 17) " " $7 }'
  const truth: Truth = new Map()
  for (const line of execFileSync('awk', [program, file], { maxBuffer: 2 ** 28 })
    .toString()
    .trimEnd()
    .split('\n')) {
    const [, day, month, year, time, key = ''] =
      /^(\d\d)\/(\w{3})\/(\d{4}):(\d\d:\d\d) (.*)$/.exec(line) ?? []
    note(truth, key, Date.parse(`${day} ${month} ${year} ${time} UTC`))
  }
  return truth
}

describe('an imported log equals its truth, by key and by minute', () => {
  test('a log with every awkward line, also when imported twice', async () => {
    const scene = makeScene('import twice')
    expect(summary(await scene.tally(['import', scene.file]))).toEqual([LINES, LINES, 0, 0])
    expect(summary(await scene.tally(['import', scene.file]))).toEqual([LINES, 0, LINES, 0])
    await expectTruth(scene, scene.truth)
  })

  const isThere = existsSync(REAL_LOG)
  if (!isThere) console.warn(`NOT TESTED: the real access log, since ${REAL_LOG} is missing`)
  test.runIf(isThere)('10,000 real requests, as awk counts them, also when imported twice', async () => {
    const workplace = makeWorkplace()
    const args = ['import', REAL_LOG, '--format', 'combined', '--counter', 'clicks', '--key', 'path']
    expect(summary(await workplace.tally(args))).toEqual([10_000, 10_000, 0, 0])
    expect(summary(await workplace.tally(args))).toEqual([10_000, 0, 10_000, 0])
    await expectTruth(workplace, awkTruth(REAL_LOG))
  })
})

describe('a killed import that is run again loses and doubles nothing', () => {
  test('without a server', async () => {
    const scene = makeScene('import killed alone')
    const half = scene.start(['import', '-'])
    const text = readFileSync(scene.file)
    // In parts, since a line about the progress comes with the first part after two seconds.
    for (let at = 0; !half.stderr().includes('records'); at += PART_BYTES) {
      half.child.stdin?.write(text.subarray(at, Math.min(at + PART_BYTES, text.length / 2)))
      await sleep(100)
    }
    await stop(half, 'SIGKILL')
    const [read, counted = 0, duplicate = 0, skipped] = summary(await scene.tally(['import', scene.file]))
    expect([read, counted + duplicate, skipped]).toEqual([LINES, LINES, 0])
    expect(duplicate).toBeGreaterThan(0)
    expect(counted).toBeGreaterThan(0)
    await expectTruth(scene, scene.truth)
  })

  test('beside a server that has the store open', async () => {
    const scene = makeScene('import killed beside a server')
    const { url, server } = await serve(scene)
    const half = scene.start(['import', '-'])
    half.child.stdin?.write(readFileSync(scene.file).subarray(0, -200_000))
    await untilCounted(url, LINES / 2)
    await stop(half, 'SIGKILL')
    const again = await scene.tally(['import', scene.file])
    expect(again.stderr).toContain(`asking it at ${url}`)
    const [, counted = 0, duplicate = 0] = summary(again)
    expect(counted + duplicate).toBe(LINES)
    expect(duplicate).toBeGreaterThanOrEqual(LINES / 2)
    await stop(server)
    await expectTruth(scene, scene.truth)
  })
})

test('a server that is killed and comes back during an import is waited for', async () => {
  const scene = makeScene('server killed during an import')
  const { url, server } = await serve(scene)
  const importing = scene.start(['import', '-', '--url', url])
  const text = readFileSync(scene.file)
  importing.child.stdin?.write(text.subarray(0, text.length / 2))
  await untilCounted(url, 1_000)
  await stop(server, 'SIGKILL')
  importing.child.stdin?.end(text.subarray(text.length / 2))
  await sleep(300)
  const back = await serve(scene, Number(new URL(url).port))
  const [read, counted = 0, duplicate = 0] = summary(await importing.finished)
  expect([read, counted + duplicate]).toEqual([LINES, LINES])
  await stop(back.server)
  await expectTruth(scene, scene.truth)
})

test('of a log that grew, was renamed and zipped, only the new lines count', async () => {
  const scene = makeScene('import of a grown log')
  await scene.tally(['import', scene.file])
  const more = '::1 - - [28/Mar/2026:10:00:00 +0000] "GET /new HTTP/1.1" 200 1 "-" "-"\n'
  appendFileSync(scene.file, more + more)
  const zipped = join(scene.folder, 'access.log.1.gz')
  writeFileSync(zipped, gzipSync(readFileSync(scene.file)))
  expect(summary(await scene.tally(['import', zipped]))).toEqual([LINES + 2, 2, LINES, 0])
})

describe('lines that cannot be counted', () => {
  test('are skipped by number, and only --strict fails for them', async () => {
    const scene = makeScene('import with damage')
    const lines = scene.lines.slice(0, 100)
    const file = join(scene.folder, 'damaged.log')
    writeFileSync(file, `${lines.slice(0, 50).join('\n')}\nhello\n${lines.slice(50).join('\n')}\n`)
    const lenient = await scene.tally(['import', file])
    expect(lenient.stderr).toContain('line 51 is skipped')
    expect([lenient.code, ...summary(lenient)]).toEqual([0, 101, 100, 0, 1])
    const strict = await scene.tally(['import', file, '--strict', '--json'])
    expect(strict.code).toBe(1)
    expect(JSON.parse(strict.stdout)).toEqual({ read: 101, counted: 0, duplicate: 100, skipped: 1 })
  })

  test('that only the server can refuse are left out of their batch, and the rest of it counts', async () => {
    const workplace = makeWorkplace()
    const file = join(workplace.folder, 'events.ndjson')
    // Each delta is allowed, their sum is not: it leaves the range of exact numbers.
    const most = Array.from({ length: 9_008 }, () => '{"key":"much","delta":1000000000000}')
    writeFileSync(file, ['{"key":"a"}', ...most, '{"key":"b"}'].join('\n'))
    const ended = await workplace.tally(['import', file, '--format', 'ndjson', '--counter', 'clicks'])
    expect([ended.code, ...summary(ended)]).toEqual([0, 9_010, 9_009, 0, 1])
    expect(ended.stderr).toMatch(/line \d+ is skipped: .*value_out_of_range/)
  })

  test('an undeclared counter ends the import with the line that names it', async () => {
    const workplace = makeWorkplace()
    const file = join(workplace.folder, 'events.ndjson')
    writeFileSync(file, '{"counter":"clicks","key":"a"}\n{"counter":"clucks","key":"a"}\n')
    const ended = await workplace.tally(['import', file, '--format', 'ndjson'])
    expect(ended.code).toBe(4)
    expect(ended.stderr).toMatch(/line 2: .*clucks/)
  })
})

test('CSV and NDJSON count what they say, once', async () => {
  const workplace = makeWorkplace()
  const csv = join(workplace.folder, 'sales.csv')
  writeFileSync(
    csv,
    'product,at,pieces\n"a, b",2026-03-28T10:00:00Z,3\n"a, b",2026-03-28T10:00:00Z,3\nc,2026-03-28T10:01:00Z,-1\n',
  )
  const args = ['import', csv, '--format', 'csv', '--key', 'product', '--time', 'at', '--delta', 'pieces']
  expect(summary(await workplace.tally(args))).toEqual([3, 3, 0, 0])
  expect(summary(await workplace.tally(args))).toEqual([3, 0, 3, 0])
  const ndjson = join(workplace.folder, 'events.ndjson')
  writeFileSync(ndjson, '{"key":"c","id":"1","counter":"clicks"}\n{"key":"c","id":"1","counter":"clicks"}\n')
  expect(summary(await workplace.tally(['import', ndjson, '--format', 'ndjson']))).toEqual([2, 1, 1, 0])
  const { stdout } = await workplace.tally(['get', 'clicks', 'a, b', 'c', '--json'])
  expect((JSON.parse(stdout) as { value: number }[]).map(({ value }) => value)).toEqual([6, 0])
})

async function untilCounted(url: string, events: number): Promise<void> {
  for (;;) {
    const { streams } = (await (await fetch(`${url}/v1/ledger`)).json()) as { streams: { counted: number }[] }
    if ((streams[0]?.counted ?? 0) >= events) return
    await sleep(20)
  }
}
