import type { DatabaseSync } from 'node:sqlite'
import { ID_BYTES } from './id-set.ts'

/** Of how many milliseconds the blocks are held: a few megabytes at the most. */
const MILLISECONDS_HELD = 64

interface Block {
  readonly last_ms: number
  readonly ids: Uint8Array
}

/** Looks ids up where seen-writer.ts stored them. */
export class SeenReader {
  private readonly statements
  private readonly blocksByMs = new Map<number, Uint8Array[]>()

  constructor(db: DatabaseSync) {
    this.statements = {
      rows: db.prepare(`
        WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < ?2)
        SELECT n FROM number
        WHERE EXISTS (SELECT 1 FROM seen WHERE id = substr(?1, n * ${ID_BYTES} + 1, ${ID_BYTES}))`),
      bounds: db.prepare(`
        SELECT (SELECT first_ms FROM seen_block ORDER BY first_ms LIMIT 1) AS first,
               (SELECT last_ms FROM seen_block ORDER BY first_ms DESC, last_ms DESC LIMIT 1) AS last`),
      blocks: db.prepare(`
        SELECT last_ms, ids FROM seen_block WHERE first_ms <= ? ORDER BY first_ms DESC, last_ms DESC`),
      any: db.prepare('SELECT 1 FROM seen UNION ALL SELECT 1 FROM seen_block LIMIT 1'),
    }
  }

  isEmpty(): boolean {
    return this.statements.any.get() === undefined
  }

  /** Which of these ids (20 bytes a piece) are stored, by their number. */
  seen(ids: Uint8Array): number[] {
    const view = Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength)
    const found = this.statements.rows.all(ids, ids.byteLength / ID_BYTES).map((row) => Number(row.n))
    const bounds = this.statements.bounds.get()
    if (typeof bounds?.first !== 'number' || typeof bounds.last !== 'number') return found
    for (let at = 0; at < view.length; at += ID_BYTES) {
      const timeMs = view.readUIntBE(at, 6)
      if (timeMs < bounds.first || timeMs > bounds.last) continue
      if (this.isInBlock(view.subarray(at, at + ID_BYTES), timeMs)) found.push(at / ID_BYTES)
    }
    return found
  }

  /** Call when blocks were added: what is held of them may be a part. */
  refresh(): void {
    this.blocksByMs.clear()
  }

  private isInBlock(id: Buffer, timeMs: number): boolean {
    return this.blocksAt(timeMs).some((ids) => contains(ids, id))
  }

  /** The blocks that may hold ids of a millisecond; a retried batch asks for the same ones over and over. */
  private blocksAt(timeMs: number): Uint8Array[] {
    const known = this.blocksByMs.get(timeMs)
    if (known !== undefined) return known
    const blocks: Uint8Array[] = []
    for (const row of this.statements.blocks.iterate(timeMs)) {
      const block = row as unknown as Block
      if (block.last_ms < timeMs) break
      blocks.push(block.ids)
    }
    if (this.blocksByMs.size >= MILLISECONDS_HELD) this.blocksByMs.clear()
    this.blocksByMs.set(timeMs, blocks)
    return blocks
  }
}

function contains(ids: Uint8Array, id: Buffer): boolean {
  const bytes = Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength)
  let at = bytes.indexOf(id)
  // A match must begin where an id begins.
  while (at !== -1 && at % ID_BYTES !== 0) at = bytes.indexOf(id, at + 1)
  return at !== -1
}
