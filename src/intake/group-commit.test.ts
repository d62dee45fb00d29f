import { describe, expect, it } from 'vitest'
import type { Applied, Batch, Outcome, Submission } from '../core/batch.ts'
import { TallyError } from '../core/errors.ts'
import { INTAKE_QUEUE_EVENTS_MAX } from '../core/limits.ts'
import type { Position } from '../core/position.ts'
import { createGroupCommit, type GroupCommit } from './group-commit.ts'

interface Held {
  readonly batch: Batch
  resolve(outcomes?: Outcome[]): Promise<void>
  reject(error: TallyError): Promise<void>
}

/** Long enough for a commit to begin: gathering takes a few turns of the event loop. */
const turn = async () => {
  for (let count = 0; count < 5; count++) await new Promise((resolve) => setImmediate(resolve))
}

/** A commit that ends when the test says so. */
function held(): { commits: Held[]; commit: GroupCommit } {
  const commits: Held[] = []
  const apply = (batch: Batch) =>
    new Promise<Applied>((resolve, reject) => {
      commits.push({
        batch,
        resolve: (outcomes) => {
          const position = `p-${commits.length}` as Position
          resolve({ position, outcomes: outcomes ?? batch.submissions.map(counted), changed: [] })
          return turn()
            .then(turn)
            .then(() => undefined)
        },
        reject: (error) => {
          reject(error)
          return turn()
            .then(turn)
            .then(() => undefined)
        },
      })
    })
  const commit = createGroupCommit(apply, {
    stream: 'events',
    ledger: [],
    onChanged: () => undefined,
    onCommit: () => undefined,
  })
  return { commits, commit }
}

function counted({ events }: Submission): Outcome {
  return { kind: 'counted', received: events.length, counted: events.length, duplicate: 0 }
}

function submission(events = 1, key?: string): Submission {
  const event = { counter: 'clicks', key: 'k', delta: 1, timeMs: 0, id: undefined }
  const whole = { events: Array.from({ length: events }, () => event) }
  return key === undefined ? whole : { ...whole, idempotency: { key, fingerprint: 'f' } }
}

function balance(commit: GroupCommit): { received: number; sum: number; pending: number } {
  const [line] = commit.ledger()
  const { received = 0, counted: count = 0, duplicate = 0, rejected = 0, pending = 0 } = line ?? {}
  return { received, sum: count + duplicate + rejected + pending, pending }
}

describe('group commit', () => {
  it('whatever arrives while the last commit runs goes into the next one', async () => {
    const { commits, commit } = held()
    const answers: string[] = []
    const send = (name: string) => commit.submit(submission(), 10, () => answers.push(name))
    send('a')
    send('b')
    await turn()
    send('c')
    send('d')
    await turn()
    expect(commits.map((one) => one.batch.submissions.length)).toEqual([2])
    await commits[0]?.resolve()
    expect(answers).toEqual(['a', 'b'])
    expect(commits.map((one) => one.batch.submissions.length)).toEqual([2, 2])
    await commits[1]?.resolve()
    expect(answers).toEqual(['a', 'b', 'c', 'd'])
  })

  it('nothing is acknowledged before its commit, and a failed commit acknowledges nothing', async () => {
    const { commits, commit } = held()
    const answers: (string | undefined)[] = []
    commit.submit(submission(), 10, (error) => answers.push(error?.code))
    await turn()
    expect(answers).toEqual([])
    await commits[0]?.reject(new TallyError('store_full', 'full'))
    expect(answers).toEqual(['store_full'])
    commit.submit(submission(), 10, (error) => answers.push(error?.code))
    await turn()
    expect(commits[1]?.batch.rejected).toBe(1)
    await commits[1]?.resolve()
    expect(answers).toEqual(['store_full', undefined])
  })

  it('a key in flight is refused until its request is answered', async () => {
    const { commits, commit } = held()
    const answers: (string | undefined)[] = []
    const send = () => commit.submit(submission(1, 'k'), 10, (error) => answers.push(error?.code))
    send()
    send()
    await turn()
    send()
    expect(answers).toEqual(['idempotency_in_flight', 'idempotency_in_flight'])
    await commits[0]?.resolve()
    send()
    await turn()
    expect(commits).toHaveLength(2)
  })

  it('more than may wait is refused at once, and what waits is untouched (L10)', async () => {
    const { commits, commit } = held()
    let refused = 0
    let taken = 0
    for (let sent = 0; sent < INTAKE_QUEUE_EVENTS_MAX + 5_000; sent += 1_000) {
      commit.submit(submission(1_000), 100, (error) => {
        if (error?.code === 'overloaded') refused++
        else taken++
      })
    }
    expect(refused).toBe(5)
    await turn()
    while (commit.pending() > 0) {
      await commits.at(-1)?.resolve()
      await turn()
    }
    expect(taken).toBe(INTAKE_QUEUE_EVENTS_MAX / 1_000)
  })

  it('received = counted + duplicate + rejected + pending, at every moment (L6)', async () => {
    const { commits, commit } = held()
    const check = () => {
      const { received, sum } = balance(commit)
      expect(sum).toBe(received)
    }
    for (let round = 0; round < 3; round++) {
      commit.submit(submission(2), 10, check)
      commit.submit(submission(3, 'k'), 10, check)
      commit.submit(submission(3, 'k'), 10, check)
      commit.refuse(4)
      check()
      await turn()
      check()
      if (round === 1) await commits.at(-1)?.reject(new TallyError('store_full', 'full'))
      else {
        await commits
          .at(-1)
          ?.resolve([
            { kind: 'counted', received: 2, counted: 1, duplicate: 1 },
            round === 0
              ? { kind: 'mismatch' }
              : { kind: 'replayed', received: 3, counted: 3, duplicate: 0, position: 'p' as Position },
          ])
      }
      check()
    }
    expect(balance(commit).received).toBe(36)
  })

  it('draining takes nothing more and ends when everything taken is acknowledged', async () => {
    const { commits, commit } = held()
    const answers: (string | undefined)[] = []
    commit.submit(submission(), 10, (error) => answers.push(error?.code))
    let isDrained = false
    const drained = commit.drain().then(() => {
      isDrained = true
    })
    commit.submit(submission(), 10, (error) => answers.push(error?.code))
    await turn()
    expect([answers, isDrained]).toEqual([['shutting_down'], false])
    await commits[0]?.resolve()
    await commits[1]?.resolve() // the ledger's last rejections
    await drained
    expect(answers).toEqual(['shutting_down', undefined])
  })
})
