import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { HttpClient } from '../support/http-client.ts'
import { Load, now, refusalOf } from '../support/load.ts'
import { Oracle } from '../support/oracle.ts'
import { faultRounds, type SeededRandom, seededRandom } from '../support/seeded-random.ts'
import { mountSmallDisk } from '../support/small-disk.ts'
import { COUNTERS, spawnTally, type Tally, temporaryFolder } from '../support/spawn-tally.ts'
import { attach, straceMissing } from '../support/strace.ts'
import { LedgerWatch, verifyFile, verifyRunning } from '../support/verify.ts'

const MIB = 1024 * 1024
const RECOVERY_MS_MAX = 10_000

it('a full disk: 507 for writes, reads go on, and with space again it goes on by itself', async (test) => {
  const disk = mountSmallDisk(64)
  if (typeof disk === 'string') return test.skip(disk)
  const random = seededRandom('disk full')
  const file = join(disk.folder, 'tally.db')
  const oracle = new Oracle(random, { counters: COUNTERS, keysPerCounter: 500 })
  const tally = await spawnTally(file)
  const load = new Load(() => tally.url, oracle, { singles: 4, batches: 2, batchSize: 500 })
  const watch = new LedgerWatch(() => tally.url)
  const client = new HttpClient()
  for (let round = 0; round < faultRounds(2); round++) {
    const before = load.refusals.get('507 store_full') ?? 0
    // What is left is met by the journal in one round and by a fold in another.
    disk.leaveFree(random.between(0, 4 * MIB))
    await until(() => (load.refusals.get('507 store_full') ?? 0) > before + 20, 20_000)
    expect(await status(client, `${tally.url}/health/ready`)).toBe('507 store_full')
    expect(await status(client, `${tally.url}/health/live`)).toBe('200 undefined')
    expect(await status(client, `${tally.url}/v1/counters/clicks/key-1`)).toBe('200 undefined')
    expect(await status(client, `${tally.url}/v1/counters/clicks/key-1/series?window=hour`)).toBe(
      '200 undefined',
    )
    disk.free()
    const acknowledged = oracle.acknowledgedCount
    await until(() => oracle.acknowledgedCount > acknowledged + 500, RECOVERY_MS_MAX)
    expect(await status(client, `${tally.url}/health/ready`)).toBe('200 undefined')
  }
  await load.stop()
  await watch.stop()
  client.close()
  expect([...load.refusals.keys()]).toEqual(['507 store_full'])
  expect(watch.violations).toEqual([])
  expect(await verifyRunning(tally.url, oracle)).toEqual([])
  expect(await tally.stop()).toEqual({ code: 0, signal: null })
  expect(await verifyFile(file, oracle)).toEqual([])
})

it('a process killed while its disk is full comes back with everything that it acknowledged', async (test) => {
  const disk = mountSmallDisk(64)
  if (typeof disk === 'string') return test.skip(disk)
  const random = seededRandom('disk full, killed')
  const file = join(disk.folder, 'tally.db')
  const oracle = new Oracle(random, { counters: COUNTERS, keysPerCounter: 500 })
  let tally: Tally | undefined = await spawnTally(file)
  const load = new Load(() => tally?.url, oracle, { singles: 4, batches: 2, batchSize: 500 })
  await sleep(500)
  disk.leaveFree(random.between(0, 2 * MIB))
  await until(() => (load.refusals.get('507 store_full') ?? 0) > 20, 20_000)
  await tally.kill()
  tally = undefined
  disk.free()
  tally = await spawnTally(file)
  await sleep(300)
  await load.stop()
  expect(await verifyRunning(tally.url, oracle)).toEqual([])
  expect(await tally.stop()).toEqual({ code: 0, signal: null })
  expect(await verifyFile(file, oracle)).toEqual([])
})

it('after a failed fsync nothing is acknowledged until a restart, which loses nothing', async (test) => {
  const missing = straceMissing()
  if (missing !== undefined) return test.skip(missing)
  const random = seededRandom('fsync error')
  const file = join(temporaryFolder(), 'tally.db')
  const oracle = new Oracle(random, { counters: COUNTERS, keysPerCounter: 500 })
  for (let round = 0; round < faultRounds(4); round++) await failFsync(file, oracle, random)
  const tally = await spawnTally(file)
  expect(await verifyRunning(tally.url, oracle)).toEqual([])
  expect(await tally.stop()).toEqual({ code: 0, signal: null })
  expect(await verifyFile(file, oracle)).toEqual([])
})

/** One fsync fails, at some point under load; every later one succeeds, which must not help. */
async function failFsync(file: string, oracle: Oracle, random: SeededRandom): Promise<void> {
  const tally = await spawnTally(file)
  let target: string | undefined = tally.url
  const load = new Load(() => target, oracle, { singles: 6, batches: 1, batchSize: 300 })
  let lastAcknowledgedMs = 0
  load.onAcknowledged = ({ sentAtMs }) => {
    lastAcknowledgedMs = Math.max(lastAcknowledgedMs, sentAtMs)
  }
  await sleep(200)
  const fault = await attach(tally.pid, 'fsync,fdatasync', `error=EIO:when=${random.between(1, 50)}`)
  await until(() => (load.refusals.get('503 store_failed') ?? 0) > 0, 20_000)
  const failedMs = now()
  await fault.detach()
  await sleep(500)
  expect(lastAcknowledgedMs).toBeLessThanOrEqual(failedMs)
  const client = new HttpClient()
  expect(await status(client, `${tally.url}/health/ready`)).toBe('503 store_failed')
  expect(await status(client, `${tally.url}/health/live`)).toBe('200 undefined')
  expect(await status(client, `${tally.url}/v1/counters/clicks/key-1`)).toBe('200 undefined')
  client.close()
  target = undefined
  await load.stop()
  expect([...load.refusals.keys()]).toEqual(['503 store_failed'])
  const exit = await tally.stop()
  expect(exit.signal).toBe(null)
}

it('with slow fsyncs the queue is bounded: 429, flat memory, and nothing lost', async (test) => {
  const missing = straceMissing()
  if (missing !== undefined) return test.skip(missing)
  const random = seededRandom('slow fsync')
  const file = join(temporaryFolder(), 'tally.db')
  const oracle = new Oracle(random, { counters: COUNTERS, keysPerCounter: 100 })
  const tally = await spawnTally(file)
  const slow = await attach(tally.pid, 'fsync,fdatasync', `delay_enter=${random.between(150, 300)}000`)
  const load = new Load(() => tally.url, oracle, { singles: 4, batches: 16, batchSize: 8_000 })
  const watch = new LedgerWatch(() => tally.url)
  await until(() => (load.refusals.get('429 overloaded') ?? 0) > 0, 30_000)
  await sleep(1_000)
  const earlyBytes = await peakBytes(tally.pid, 1_500)
  const lateBytes = await peakBytes(tally.pid, 2_500)
  await slow.detach()
  await load.stop()
  await watch.stop()
  process.stdout.write(
    `slow fsync: resident memory ${Math.round(earlyBytes / MIB)} MiB, later ${Math.round(lateBytes / MIB)} MiB\n`,
  )
  expect([...load.refusals.keys()]).toEqual(['429 overloaded'])
  expect(watch.violations).toEqual([])
  expect(lateBytes).toBeLessThan(RESIDENT_BYTES_MAX)
  expect(lateBytes / earlyBytes).toBeLessThan(GROWTH_MAX)
  expect(await verifyRunning(tally.url, oracle)).toEqual([])
  expect(await tally.stop()).toEqual({ code: 0, signal: null })
})

/** A full queue, its bodies, and what is left until the next collection of garbage. */
const RESIDENT_BYTES_MAX = 600 * MIB
const GROWTH_MAX = 1.3

/** The most that a process had resident within some time. */
async function peakBytes(pid: number, ms: number): Promise<number> {
  const endMs = performance.now() + ms
  let peak = 0
  while (performance.now() < endMs) {
    peak = Math.max(peak, residentBytes(pid))
    await sleep(20)
  }
  return peak
}

function residentBytes(pid: number): number {
  const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kibibytes) * 1024
}

/** Status and code of an answer; `200 undefined` for a good one. */
async function status(client: HttpClient, url: string): Promise<string> {
  const result = await client.send(url)
  return result.kind === 'answer' ? refusalOf(result) : result.reason
}

async function until(isSo: () => boolean, ms: number): Promise<void> {
  const endMs = performance.now() + ms
  while (!isSo()) {
    if (performance.now() > endMs) throw new Error(`did not happen within ${ms} ms: ${isSo}`)
    await sleep(10)
  }
}
