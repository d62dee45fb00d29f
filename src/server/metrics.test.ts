import { describe, expect, test } from 'vitest'
import type { LedgerLine } from '../core/batch.ts'
import { createMetrics } from './metrics.ts'
import { PlainHistogram } from './plain-histogram.ts'

const LINE: LedgerLine = { stream: 'events', received: 10, counted: 5, duplicate: 2, rejected: 1, pending: 2 }

function filled(line: LedgerLine = LINE) {
  const metrics = createMetrics()
  metrics.route('/v1/events', 'POST').observe(200, 3)
  metrics.commit(2, 64)
  metrics.watchLedger(() => [line])
  metrics.watchSubscribers(() => 3)
  metrics.watchStore(() => ({ wal_bytes: 4_096, journal_rows: 12 }))
  return metrics
}

describe('the metrics', () => {
  test('the ledger is told by outcome, and balances', async () => {
    const text = await filled().text()
    for (const [outcome, events] of [
      ['counted', 5],
      ['duplicate', 2],
      ['rejected', 1],
    ]) {
      expect(text).toContain(`tally_events_total{stream="events",outcome="${outcome}"} ${events}\n`)
    }
    expect(text).toContain('tally_queue_events 2\n')
    expect(text).toContain('tally_ledger_difference{stream="events"} 0\n')
  })

  test('a missing event shows as a difference', async () => {
    expect(await filled({ ...LINE, received: 11 }).text()).toContain(
      'tally_ledger_difference{stream="events"} 1\n',
    )
  })

  test('two scrapes of the same ledger tell the same numbers', async () => {
    const metrics = filled()
    const counted = async () => /tally_events_total.*counted.*/.exec(await metrics.text())?.[0]
    expect(await counted()).toBe(await counted())
  })

  test('a commit, the subscribers and the numbers of the store are told', async () => {
    const text = await filled().text()
    expect(text).toContain('tally_commit_duration_seconds_sum 0.002\n')
    expect(text).toContain('tally_commit_events_bucket{le="100"} 1\n')
    expect(text).toContain('tally_commit_events_bucket{le="30"} 0\n')
    expect(text).toContain('tally_live_subscribers 3\n')
    expect(text).toContain('tally_store_wal_bytes 4096\n')
  })
})

describe('a plain histogram', () => {
  test('counts a value in every bucket at or above it, and the sum and count of all', async () => {
    const histogram = new PlainHistogram({ name: 'h', help: 'h', labelNames: ['l'], buckets: [1, 2, 4] })
    const distribution = histogram.bind({ l: 'x' })
    for (const value of [0.5, 1, 1.5, 4, 5]) distribution.observe(value)
    const { values } = await histogram.getForPromString()
    expect(values.map(({ metricName, labels, value }) => [metricName, labels.le, value])).toEqual([
      ['h_bucket', 1, 2],
      ['h_bucket', 2, 3],
      ['h_bucket', 4, 4],
      ['h_bucket', '+Inf', 5],
      ['h_sum', undefined, 12],
      ['h_count', undefined, 5],
    ])
    expect((await histogram.get()).values[0]).toMatchObject({ labels: { l: 'x', le: 1 }, value: 2 })
  })

  test('labels that were never observed are not told', async () => {
    const histogram = new PlainHistogram({ name: 'h', help: 'h', labelNames: ['l'], buckets: [1] })
    histogram.bind({ l: 'x' })
    expect((await histogram.getForPromString()).values).toEqual([])
  })
})
