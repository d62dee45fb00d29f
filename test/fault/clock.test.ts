import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { clockShiftedBy } from '../support/clock-shift.ts'
import { HttpClient } from '../support/http-client.ts'
import { Load } from '../support/load.ts'
import { Oracle } from '../support/oracle.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { COUNTERS, spawnTally, temporaryFolder } from '../support/spawn-tally.ts'
import { applyTo, LedgerWatch, openFile, verifyFile, verifyRunning } from '../support/verify.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

it('whatever is done to the clock under load, and over a restart, totals are unmoved', async () => {
  const random = seededRandom('clock')
  const folder = temporaryFolder()
  const file = join(folder, 'tally.db')
  const shift = join(folder, 'shift')
  const setClock = (ms: number) => writeFileSync(shift, String(ms))
  setClock(0)
  const options = { nodeArgs: clockShiftedBy(shift) }
  const oracle = new Oracle(random, { counters: COUNTERS, keysPerCounter: 300 })
  let tally = await spawnTally(file, options)
  const load = new Load(() => tally.url, oracle, { singles: 6, batches: 2, batchSize: 100 })
  const watch = new LedgerWatch(() => tally.url)
  for (const ms of [HOUR_MS, -HOUR_MS, DAY_MS, -DAY_MS]) {
    setClock(ms)
    await sleep(700)
  }
  // A strobe of a second, there and back.
  for (let times = 0; times < 10; times++) {
    setClock(times % 2 === 0 ? 1_000 : -1_000)
    await sleep(50)
  }
  await load.stop()
  // Ids that came a day ago or a day ahead are remembered by a process whose clock stands elsewhere.
  expect(await tally.stop()).toEqual({ code: 0, signal: null })
  setClock(-DAY_MS)
  tally = await spawnTally(file, options)
  await watch.stop()
  expect(watch.violations).toEqual([])
  // An event with a time of its own may now be more ahead of the clock than is allowed; that is no fault.
  setClock(0)
  await sleep(50)
  expect([...load.refusals.keys()].filter((refusal) => refusal !== '400 invalid_event')).toEqual([])
  expect(await verifyRunning(tally.url, oracle)).toEqual([])
  expect(await tally.stop()).toEqual({ code: 0, signal: null })
  expect(await verifyFile(file, oracle)).toEqual([])
})

it('an event without a time is counted in the minute that the clock shows when it comes', async () => {
  const folder = temporaryFolder()
  const shift = join(folder, 'shift')
  // Noon of today, so that no hour can end while this runs.
  const noonMs = Math.floor(Date.now() / DAY_MS) * DAY_MS + DAY_MS / 2
  const setClock = (ms: number) => writeFileSync(shift, String(ms - Date.now()))
  setClock(noonMs)
  const tally = await spawnTally(join(folder, 'tally.db'), { nodeArgs: clockShiftedBy(shift) })
  const client = new HttpClient()
  const hours = [noonMs, noonMs + 2 * HOUR_MS, noonMs - 2 * HOUR_MS]
  for (const ms of hours) {
    setClock(ms)
    await sleep(60)
    await client.json(`${tally.url}/v1/events`, { body: '{"counter":"clicks","key":"k"}' })
  }
  const from = new Date(noonMs - DAY_MS / 2).toISOString()
  const to = new Date(noonMs + DAY_MS / 2).toISOString()
  const { buckets } = await client.json<{ buckets: { timestamp: string; count: number }[] }>(
    `${tally.url}/v1/counters/clicks/k/series?window=hour&from=${from}&to=${to}`,
  )
  const counted = buckets.filter((bucket) => bucket.count > 0).map(({ timestamp }) => Date.parse(timestamp))
  expect(counted).toEqual(hours.sort((left, right) => left - right))
  client.close()
})

it('minutes that were removed stay refused when the clock goes back', async () => {
  const file = join(temporaryFolder(), 'tally.db')
  const opened = await openFile(file, { minuteRetentionMs: DAY_MS })
  const nowMs = Date.now()
  const hourMs = Math.floor(nowMs / HOUR_MS) * HOUR_MS - 30 * HOUR_MS
  try {
    const time = new Date(hourMs).toISOString()
    await applyTo(opened, [{ counter: 'clicks', key: 'k', id: 'one', time }])
    while (opened.upkeep.health().gauges.unfolded_entries !== 0) await sleep(20)
    expect(await opened.upkeep.purge(nowMs)).toBe(1)
    await opened.upkeep.purge(nowMs - 2 * DAY_MS)
    const span = { resolution: 'minute', fromMs: hourMs, toMs: hourMs + HOUR_MS } as const
    await expect(opened.store.series('clicks', 'k', [span])).rejects.toMatchObject({
      code: 'resolution_expired',
    })
    expect(await opened.upkeep.check()).toEqual([])
  } finally {
    await opened.close()
  }
})
