import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { Load } from '../support/load.ts'
import { Oracle } from '../support/oracle.ts'
import { faultRounds, seededRandom } from '../support/seeded-random.ts'
import { COUNTERS, spawnTally, type Tally, temporaryFolder } from '../support/spawn-tally.ts'
import { LedgerWatch, verifyFile, verifyRunning } from '../support/verify.ts'

const READY_MS_MAX = 3_000

it('kill -9 under load, again and again: every acknowledged event is counted once', async () => {
  const random = seededRandom('kill')
  const file = join(temporaryFolder(), 'tally.db')
  const oracle = new Oracle(random, { counters: COUNTERS, keysPerCounter: 1_500 })
  let tally: Tally | undefined = await spawnTally(file)
  const load = new Load(() => tally?.url, oracle, { singles: 8, batches: 2, batchSize: 150, pauseMs: 5 })
  const watch = new LedgerWatch(() => tally?.url)
  const kills = faultRounds(20)
  let slowestMs = 0
  for (let round = 0; round < kills; round++) {
    // Some at once, some after a fold or two.
    await sleep(random.chance(0.3) ? random.between(0, 100) : random.between(200, 1_300))
    await tally.kill()
    tally = undefined
    tally = await spawnTally(file)
    slowestMs = Math.max(slowestMs, tally.readyMs)
  }
  await sleep(500)
  await load.stop()
  await watch.stop()
  process.stdout.write(
    `kill: ${kills} kills, ${oracle.sentCount} events, ${load.lost.length} answers lost, ` +
      `${watch.polls} looks at the ledger, ready again within ${Math.round(slowestMs)} ms\n`,
  )
  expect(load.lost.length).toBeGreaterThan(0)
  expect([...load.refusals.keys()]).toEqual([])
  expect(watch.violations).toEqual([])
  expect(watch.polls).toBeGreaterThan(kills)
  expect(await verifyRunning(tally.url, oracle)).toEqual([])
  expect(slowestMs).toBeLessThan(READY_MS_MAX)
  expect(await tally.stop()).toEqual({ code: 0, signal: null })
  expect(await verifyFile(file, oracle)).toEqual([])
})

it('100,000 events in batches of 750 with three kills: none lost, none doubled', async () => {
  const random = seededRandom('kill, 100,000 events')
  const file = join(temporaryFolder(), 'tally.db')
  const oracle = new Oracle(random, { counters: COUNTERS, keysPerCounter: 500 })
  let tally: Tally | undefined = await spawnTally(file)
  const eventsMax = 100_000
  const load = new Load(() => tally?.url, oracle, { singles: 0, batches: 4, batchSize: 750, eventsMax })
  let kills = 0
  for (const progress of [0.2, 0.5, 0.8]) {
    while (oracle.acknowledgedCount < progress * eventsMax) await sleep(1)
    await tally.kill()
    kills++
    tally = undefined
    tally = await spawnTally(file)
    expect(tally.readyMs).toBeLessThan(READY_MS_MAX)
  }
  await load.ended()
  expect(kills).toBe(3)
  expect(oracle.acknowledgedCount).toBeGreaterThanOrEqual(eventsMax)
  expect(await verifyRunning(tally.url, oracle)).toEqual([])
  expect(await tally.stop()).toEqual({ code: 0, signal: null })
  expect(await verifyFile(file, oracle)).toEqual([])
})
