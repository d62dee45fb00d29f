import { statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { HOUR_MS, PURGE_PAUSE_MS, PURGE_SLICE_ROWS, SECOND_MS } from '../../core/limits.ts'
import type { StoreHealth, StoreOptions, Upkeep } from '../store.ts'
import type { Folding } from './folding.ts'
import type { ReaderCalls } from './reader-protocol.ts'
import type { Applier } from './sqlite-store.ts'
import { Thread } from './thread.ts'
import type { PurgeProgress, WriterCalls } from './writer-protocol.ts'

/** Keeps the file in shape beside the commits: forgets what is past its retention, copies, checks. */
export class SqliteUpkeep implements Upkeep {
  private readonly file: string
  private readonly writer: Thread<WriterCalls>
  private readonly folding: Folding
  private readonly applier: Applier
  private readonly options: StoreOptions & {
    minuteFromMs: () => number
    setMinuteFromMs: (fromMs: number) => void
  }
  private isClosed = false
  private purging: Promise<number> | undefined = undefined

  constructor(
    parts: { file: string; writer: Thread<WriterCalls>; folding: Folding; applier: Applier },
    options: SqliteUpkeep['options'],
  ) {
    this.file = parts.file
    this.writer = parts.writer
    this.folding = parts.folding
    this.applier = parts.applier
    this.options = options
  }

  health(): StoreHealth {
    const gauges = {
      wal_bytes: this.walBytes(),
      file_bytes: bytesOf(this.file),
      unfolded_entries: this.folding.pending,
    }
    const { failure, full } = this.applier
    if (failure !== undefined) return { state: 'store_failed', message: failure.message, gauges }
    if (full !== undefined) return { state: 'store_full', message: full.message, gauges }
    return { state: 'ok', gauges }
  }

  purge(nowMs: number): Promise<number> {
    this.purging ??= this.purgeAll(nowMs).finally(() => {
      this.purging = undefined
    })
    return this.purging
  }

  async backup(file: string): Promise<void> {
    await this.onOwnThread((thread) => thread.call('backup', { file }))
  }

  async check(): Promise<string[]> {
    return this.onOwnThread((thread) => thread.call('check', undefined))
  }

  async close(): Promise<void> {
    this.isClosed = true
    await this.purging
  }

  private async purgeAll(nowMs: number): Promise<number> {
    const seenBeforeS = Math.floor((nowMs - this.options.seenRetentionMs) / SECOND_MS)
    const hourBefore = await this.expireMinutes(nowMs)
    let removed = 0
    let after: Uint8Array | undefined = new Uint8Array(0)
    while (after !== undefined && !this.isClosed) {
      const step: PurgeProgress = await this.writer.call('purge', {
        seenBeforeS,
        hourBefore,
        after,
        rowsMax: PURGE_SLICE_ROWS,
      })
      removed += step.removed
      after = step.after
      if (after !== undefined) await sleep(PURGE_PAUSE_MS)
    }
    return removed
  }

  /** From here on reads refuse older minutes; only then are they removed. */
  private async expireMinutes(nowMs: number): Promise<number | undefined> {
    if (!Number.isFinite(this.options.minuteRetentionMs)) return undefined
    const hourBefore = Math.floor((nowMs - this.options.minuteRetentionMs) / HOUR_MS)
    if (hourBefore <= 0) return undefined
    const fromMs = hourBefore * HOUR_MS
    // Never back, whatever was done to the clock or the retention: what was removed stays removed.
    if (fromMs <= this.options.minuteFromMs()) return hourBefore
    await this.writer.call('setMeta', { name: 'minute_from_ms', value: String(fromMs) })
    this.options.setMinuteFromMs(fromMs)
    return hourBefore
  }

  private async onOwnThread<Result>(work: (thread: Thread<ReaderCalls>) => Promise<Result>): Promise<Result> {
    const thread = new Thread<ReaderCalls>(new URL('./reader-thread.ts', import.meta.url), {
      file: this.file,
    })
    try {
      return await work(thread)
    } finally {
      await thread.terminate()
    }
  }

  private walBytes(): number {
    return bytesOf(`${this.file}-wal`)
  }
}

function bytesOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0
}
