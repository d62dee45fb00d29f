import { resolve } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import type { Applied, Batch, LedgerLine } from '../../core/batch.ts'
import { TallyError } from '../../core/errors.ts'
import { MINUTE_MS } from '../../core/limits.ts'
import type { Position } from '../../core/position.ts'
import type { Bucket, Ranked, ReadingPage } from '../../core/reading.ts'
import type { KeySelection, KeyStore, OpenStore, Positions, Span, Store, StoreOptions } from '../store.ts'
import type { CounterRegistry } from './counter-registry.ts'
import type { Counted, Counting } from './counting.ts'
import { type FileLock, lockStore } from './file-lock.ts'
import { Folding } from './folding.ts'
import { epochOf, openFile, readMeta, servedAt } from './open-file.ts'
import { Reader } from './reader.ts'
import { recover } from './recover.ts'
import { asOpenError, asStoreError } from './sqlite-errors.ts'
import { formatPosition, parsePosition } from './sqlite-position.ts'
import { SqliteReads } from './sqlite-reads.ts'
import { SqliteUpkeep } from './sqlite-upkeep.ts'
import { TableReads } from './tables.ts'
import { Thread } from './thread.ts'
import type { WriterCalls } from './writer-protocol.ts'

/**
 * Opens the embedded store: one SQLite file, created if it is missing (its folder too).
 *
 * A batch is counted in memory (counting.ts), appended to the journal table by the writer thread with one
 * fsync, and acknowledged. Behind the acknowledgements the journal is folded into the tables (folding.ts).
 * After a crash the journal's rows are counted again (recover.ts): what is in the tables and what is in the
 * journal never overlap, since both change in the same transaction.
 *
 * Throws `store_locked`, `store_corrupt`, `store_too_new`.
 */
export async function openSqliteStore(url: string, options: StoreOptions): Promise<OpenStore> {
  const file = resolve(url.replace(/^sqlite:/, ''))
  const opened = openFile(file, () => lockStore(file, () => servedAt(file)))
  try {
    return assemble(file, opened, options)
  } catch (error) {
    opened.db.close()
    opened.lock.release()
    throw asOpenError(error)
  }
}

function assemble(
  file: string,
  opened: { db: DatabaseSync; lock: FileLock },
  options: StoreOptions,
): OpenStore {
  const { db, lock } = opened
  const epoch = epochOf(db)
  const tables = new TableReads(db)
  const position = (seq: number): Position => formatPosition(epoch, seq)
  const recovered = recover(db, tables, { keepsSeries: options.keepsSeries, position })
  let minuteFromMs = Number(readMeta(db, 'minute_from_ms') ?? 0)

  const writer = new Thread<WriterCalls>(new URL('./writer-thread.ts', import.meta.url), { file })
  const folding = new Folding(recovered.counting, writer, {
    now: options.now,
    minuteFrom: () => Math.floor(minuteFromMs / MINUTE_MS),
    log: options.log,
    foldedThrough: recovered.foldedThrough,
    done: recovered.done,
  })
  const applier = new Applier(recovered, { folding, writer, epoch, now: options.now })
  const reader = new Reader(file)
  const reads = new SqliteReads(
    { counting: recovered.counting, folding, tables, reader },
    {
      counterId: (name) => recovered.counters.find(name)?.id,
      position: () => applier.positions.current(),
      now: options.now,
      minuteFromMs: () => minuteFromMs,
    },
  )
  const upkeep = new SqliteUpkeep(
    { file, writer, folding, applier },
    {
      ...options,
      minuteFromMs: () => minuteFromMs,
      setMinuteFromMs: (fromMs) => {
        minuteFromMs = fromMs
      },
    },
  )
  return {
    store: new SqliteStore(applier, reads),
    keys: keyStore(writer, tables),
    upkeep,
    announce: (url) => writer.call('setMeta', { name: 'served_at', value: url }),
    close: async () => {
      await applier.close()
      await upkeep.close()
      await reader.close()
      await writer.call('close', undefined).catch(() => undefined)
      await writer.ended()
      db.close()
      lock.release()
    },
  }
}

/** Applies one batch after the other: counted, journalled, kept. */
export class Applier {
  private readonly counting: Counting
  private readonly counters: CounterRegistry
  private readonly folding: Folding
  private readonly writer: Thread<WriterCalls>
  private readonly now: () => number
  private seq: number
  private last: Promise<unknown> = Promise.resolve()
  private isClosed = false
  /** Why no batch is taken any more, ever. */
  failure: TallyError | undefined = undefined
  /** Why the last batch was not taken. */
  full: TallyError | undefined = undefined
  readonly positions: Positions

  constructor(
    recovered: { counting: Counting; counters: CounterRegistry; seq: number },
    parts: { folding: Folding; writer: Thread<WriterCalls>; epoch: string; now: () => number },
  ) {
    this.counting = recovered.counting
    this.counters = recovered.counters
    this.seq = recovered.seq
    this.folding = parts.folding
    this.writer = parts.writer
    this.now = parts.now
    this.positions = {
      current: () => formatPosition(parts.epoch, this.seq),
      reached: (text) => parsePosition(text, parts.epoch) <= this.seq,
    }
  }

  apply(batch: Batch): Promise<Applied> {
    const turn = this.last.then(() => this.applyNext(batch))
    this.last = turn.catch(() => undefined)
    return turn
  }

  ledger(): LedgerLine[] {
    return [...this.counting.ledger].map(([stream, totals]) => ({ stream, ...totals, pending: 0 }))
  }

  /** Waits for the batch under way and moves everything into the tables, as far as that goes. */
  async close(): Promise<void> {
    this.isClosed = true
    await this.last
    if (this.failure === undefined) await this.folding.finish()
    this.folding.stop()
  }

  private async applyNext(batch: Batch): Promise<Applied> {
    if (this.failure !== undefined) throw this.failure
    if (this.isClosed) throw new TallyError('shutting_down', 'The store is closing.', { retryAfterS: 1 })
    if (this.folding.isPressed) await this.folding.relief()
    const counted = this.counting.count(batch, this.seq + 1, this.now())
    try {
      await this.journal(counted)
    } catch (error) {
      this.counting.rollback(counted)
      throw this.noteFailure(error)
    } finally {
      this.folding.commitAnswered()
    }
    this.full = undefined
    this.counters.saved()
    this.counting.commit(counted)
    this.seq = counted.row.seq
    this.folding.commitKept()
    return { position: this.positions.current(), outcomes: counted.outcomes, changed: counted.changed }
  }

  private journal(counted: Counted): Promise<void> {
    const answered = this.writer.call('commit', { row: counted.row, counters: this.counters.news() })
    this.folding.commitSent({
      keys: counted.cells.order.length,
      ids: this.counting.active.ids.size - counted.idsBefore,
    })
    return answered
  }

  /**
   * A full disk is met again and again until there is space. Anything else ends writing: after a failed
   * fsync nobody knows what the disk holds, and trying again could acknowledge what is not there.
   */
  private noteFailure(error: unknown): TallyError {
    const known = asStoreError(error)
    if (known.code === 'store_full') this.full = known
    else this.failure = known
    return known
  }
}

class SqliteStore implements Store {
  private readonly applier: Applier
  private readonly reads: SqliteReads
  readonly positions: Positions

  constructor(applier: Applier, reads: SqliteReads) {
    this.applier = applier
    this.reads = reads
    this.positions = applier.positions
  }

  apply(batch: Batch): Promise<Applied> {
    return this.applier.apply(batch)
  }

  async readings(counter: string, selection: KeySelection): Promise<ReadingPage> {
    return this.reads.readings(counter, selection)
  }

  top(counter: string, options: { limit: number; spans?: readonly Span[] }): Promise<Ranked[]> {
    return this.reads.top(counter, options)
  }

  series(counter: string, key: string, spans: readonly Span[]): Promise<Bucket[]> {
    return this.reads.series(counter, key, spans)
  }

  async ledger(): Promise<LedgerLine[]> {
    return this.applier.ledger()
  }
}

function keyStore(writer: Thread<WriterCalls>, tables: TableReads): KeyStore {
  return {
    add: ({ id, name, scopes, hash, createdMs }) =>
      writer.call('addKey', { id, name, scopes: scopes.join(' '), hash, createdMs }),
    list: async () => tables.apiKeys(),
    revoke: (id) => writer.call('revokeKey', { id }),
  }
}
