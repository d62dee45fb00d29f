import { TallyError } from '../../core/errors.ts'
import { HEAVY_READ_MS_MAX, HEAVY_READS_QUEUED_MAX } from '../../core/limits.ts'
import type { Fresh, ReaderCalls } from './reader-protocol.ts'
import { Thread } from './thread.ts'

const STALE_TRIES_MAX = 100

/**
 * Reads on a thread of their own, one at a time: what stands in the memtables goes along with each, as of
 * the moment it is sent. One that takes too long is given up with its thread, and answered `query_timeout`.
 */
export class Reader {
  private readonly file: string
  private thread: Thread<ReaderCalls> | undefined = undefined
  private queued = 0
  private last: Promise<unknown> = Promise.resolve()

  constructor(file: string) {
    this.file = file
  }

  /** `argument` is called anew for each try, right before it is sent. */
  read<Call extends 'series' | 'top'>(
    call: Call,
    argument: () => ReaderCalls[Call][0],
  ): Promise<Exclude<ReaderCalls[Call][1], 'stale'>> {
    if (this.queued >= HEAVY_READS_QUEUED_MAX) {
      return Promise.reject(
        new TallyError('query_timeout', 'Too many long reads are waiting. Try again shortly.', {
          retryAfterS: 1,
        }),
      )
    }
    this.queued++
    const turn = this.last.then(() => this.untilFresh(call, argument))
    this.last = turn.catch(() => undefined).finally(() => this.queued--)
    return turn
  }

  async close(): Promise<void> {
    await this.last
    await this.thread?.terminate()
  }

  private async untilFresh<Call extends 'series' | 'top'>(
    call: Call,
    argument: () => ReaderCalls[Call][0],
  ): Promise<Exclude<ReaderCalls[Call][1], 'stale'>> {
    for (let tries = 0; tries < STALE_TRIES_MAX; tries++) {
      const answer: Fresh<unknown> = await this.within(call, argument())
      if (answer !== 'stale') return answer as Exclude<ReaderCalls[Call][1], 'stale'>
    }
    throw new TallyError('query_timeout', 'The store changed faster than it could be read.', {
      retryAfterS: 1,
    })
  }

  private within<Call extends 'series' | 'top'>(call: Call, argument: ReaderCalls[Call][0]) {
    this.thread ??= new Thread<ReaderCalls>(new URL('./reader-thread.ts', import.meta.url), {
      file: this.file,
    })
    const { thread } = this
    return new Promise<ReaderCalls[Call][1]>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.thread = undefined
        reject(
          new TallyError(
            'query_timeout',
            `The query took more than ${HEAVY_READ_MS_MAX} ms. Ask for a smaller range.`,
            {
              retryAfterS: 10,
            },
          ),
        )
        void thread.terminate()
      }, HEAVY_READ_MS_MAX)
      thread
        .call(call, argument)
        .then(resolve, reject)
        .finally(() => clearTimeout(timer))
    })
  }
}
