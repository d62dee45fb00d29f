import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { DRAIN_MS_MAX } from '../../src/core/limits.ts'
import { Load, now } from '../support/load.ts'
import { Oracle } from '../support/oracle.ts'
import { faultRounds, seededRandom } from '../support/seeded-random.ts'
import { COUNTERS, spawnTally, type Tally, temporaryFolder, within } from '../support/spawn-tally.ts'
import { attach, straceMissing } from '../support/strace.ts'
import { LedgerWatch, verifyFile, verifyRunning } from '../support/verify.ts'

it('SIGTERM under load: nothing acknowledged is lost, nothing is cut off in the middle', async () => {
  const random = seededRandom('stop')
  const file = join(temporaryFolder(), 'tally.db')
  const oracle = new Oracle(random, { counters: COUNTERS, keysPerCounter: 1_000 })
  let tally: Tally | undefined
  const load = new Load(() => tally?.url, oracle, { singles: 12, batches: 2, batchSize: 500 })
  for (let round = 0; round < faultRounds(4); round++) {
    tally = await spawnTally(file)
    await sleep(random.between(100, 1_500))
    const signalledMs = now()
    const exit = await within(tally.stop(), DRAIN_MS_MAX, 'stopping')
    tally = undefined
    expect(exit).toEqual({ code: 0, signal: null })
    expect(now() - signalledMs).toBeLessThan(DRAIN_MS_MAX)
    // Whoever had sent a request before the signal gets its answer.
    expect(
      load.lost.filter(({ sentAtMs, lostAtMs }) => sentAtMs < signalledMs && lostAtMs > signalledMs),
    ).toEqual([])
  }
  tally = await spawnTally(file)
  await load.stop()
  // Refused politely or not at all: no answer was begun and not ended.
  expect(load.lost.filter(({ begun }) => begun)).toEqual([])
  expect([...load.refusals.keys()].filter((refusal) => refusal !== '503 shutting_down')).toEqual([])
  expect(await verifyRunning(tally.url, oracle)).toEqual([])
  expect(await tally.stop()).toEqual({ code: 0, signal: null })
  expect(await verifyFile(file, oracle)).toEqual([])
})

it('a second SIGTERM ends at once, and loses nothing that was acknowledged', async (test) => {
  const missing = straceMissing()
  if (missing !== undefined) return test.skip(missing)
  const random = seededRandom('second signal')
  const file = join(temporaryFolder(), 'tally.db')
  const oracle = new Oracle(random, { counters: COUNTERS, keysPerCounter: 1_000 })
  const tally = await spawnTally(file)
  let target: string | undefined = tally.url
  const load = new Load(() => target, oracle, { singles: 12, batches: 2, batchSize: 500 })
  await sleep(500)
  // With a disk this slow the stop takes long enough for a second signal to find it under way.
  const slow = await attach(tally.pid, 'fsync,fdatasync', 'delay_enter=1000000')
  await sleep(100)
  tally.signal('SIGTERM')
  await sleep(200)
  target = undefined
  expect(tally.isRunning()).toBe(true)
  const startMs = performance.now()
  tally.signal('SIGTERM')
  const exit = await within(tally.exited, 3_000, 'the second signal')
  expect(exit.code).toBe(143)
  expect(performance.now() - startMs).toBeLessThan(3_000)
  await slow.detach()
  await load.stop()
  expect(await verifyFile(file, oracle)).toEqual([])
})

it('a process that stood still for seconds under load goes on where it was', async () => {
  const random = seededRandom('SIGSTOP')
  const file = join(temporaryFolder(), 'tally.db')
  const oracle = new Oracle(random, { counters: COUNTERS, keysPerCounter: 1_000 })
  const tally = await spawnTally(file)
  // Clients that give up on a request send its events again while the first try is still under way.
  const options = { singles: 8, batches: 2, batchSize: 300, timeoutMs: 700 }
  const load = new Load(() => tally.url, oracle, options)
  const watch = new LedgerWatch(() => tally.url)
  for (const seconds of [1, 2.5]) {
    await sleep(random.between(200, 600))
    tally.signal('SIGSTOP')
    await sleep(seconds * 1_000)
    tally.signal('SIGCONT')
  }
  await sleep(800)
  await load.stop()
  await watch.stop()
  expect(load.lost.length).toBeGreaterThan(0)
  expect(watch.violations).toEqual([])
  expect(await verifyRunning(tally.url, oracle)).toEqual([])
  expect(await tally.stop()).toEqual({ code: 0, signal: null })
  expect(await verifyFile(file, oracle)).toEqual([])
})
