import { join } from 'node:path'
import { expect, it } from 'vitest'
import { HttpClient } from '../support/http-client.ts'
import { Load } from '../support/load.ts'
import { startLossyProxy } from '../support/lossy-proxy.ts'
import { Oracle } from '../support/oracle.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { COUNTERS, spawnTally, temporaryFolder } from '../support/spawn-tally.ts'
import { LedgerWatch, readLedger, verifyFile, verifyRunning } from '../support/verify.ts'

const LOST_SHARE = 0.1

it('events with ids whose acknowledgements are lost are counted once when they are sent again', async () => {
  const random = seededRandom('lost answers, ids')
  const file = join(temporaryFolder(), 'tally.db')
  const tally = await spawnTally(file)
  const proxy = await startLossyProxy(tally.url, LOST_SHARE, random)
  const oracle = new Oracle(random, { counters: COUNTERS, keysPerCounter: 200 })
  const load = new Load(() => proxy.url, oracle, {
    singles: 8,
    batches: 2,
    batchSize: 100,
    eventsMax: 20_000,
  })
  const watch = new LedgerWatch(() => tally.url)
  await load.ended()
  await watch.stop()
  expect(proxy.dropped()).toBeGreaterThan(20)
  expect(load.lost.length).toBe(proxy.dropped())
  expect(watch.violations).toEqual([])
  expect(await verifyRunning(tally.url, oracle)).toEqual([])
  expect(await tally.stop()).toEqual({ code: 0, signal: null })
  expect(await verifyFile(file, oracle)).toEqual([])
})

it('requests under an Idempotency-Key whose answers are lost count once, and give the same answer', async () => {
  const random = seededRandom('lost answers, Idempotency-Key')
  const tally = await spawnTally(join(temporaryFolder(), 'tally.db'))
  const proxy = await startLossyProxy(tally.url, LOST_SHARE, random)
  const client = new HttpClient()
  const requests = 600
  let events = 0
  let next = 0
  const sender = async () => {
    while (next < requests) {
      const number = next++
      // No ids: only the key keeps a second try from counting again.
      const batch = Array.from({ length: random.between(1, 5) }, () => ({ counter: 'clicks', key: 'banner' }))
      events += batch.length
      const call = { body: JSON.stringify(batch), headers: { 'idempotency-key': `request-${number}` } }
      const first = await untilAnswered(client, `${proxy.url}/v1/events`, call)
      // Also one whose answer did come may be sent again.
      if (random.chance(0.1)) {
        expect(await untilAnswered(client, `${proxy.url}/v1/events`, call)).toBe(first)
      }
    }
  }
  await Promise.all(Array.from({ length: 8 }, sender))
  expect(proxy.dropped()).toBeGreaterThan(20)
  const reading = await client.json<{ value: number }>(`${tally.url}/v1/counters/clicks/banner`)
  expect(reading.value).toBe(events)
  const [line] = await readLedger(tally.url, client)
  expect(line?.counted).toBe(events)
  expect(line?.duplicate).toBeGreaterThan(0)
  client.close()
})

/** Sends until a whole answer comes; every answer must be a 200. */
async function untilAnswered(
  client: HttpClient,
  url: string,
  call: { body: string; headers: Record<string, string> },
): Promise<string> {
  for (;;) {
    const result = await client.send(url, call)
    if (result.kind === 'lost') continue
    // The first try is still being counted: come back later.
    if (result.status === 409) continue
    expect(result.status).toBe(200)
    return result.body
  }
}
