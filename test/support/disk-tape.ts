import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { SeededRandom } from './seeded-random.ts'

/** The files of a store that a power failure leaves; the index of the log is made anew. */
export const STORE_SUFFIXES = ['', '-wal'] as const
export type StoreSuffix = (typeof STORE_SUFFIXES)[number]

type Step =
  | { readonly kind: 'write'; readonly at: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly length: number }
  | { readonly kind: 'sync' }

interface Recorded {
  readonly suffix: StoreSuffix
  /** When the call was entered and when it was done, milliseconds since the epoch. */
  readonly startMs: number
  readonly endMs: number
  readonly step: Step
}

const SECTOR_BYTES = 512
const STRING_BYTES_MAX = 1_000_000

/** A command to run a process under that writes down all it does to a store's files, one log a thread. */
export function recordDisk(file: string, tape: string): string[] {
  const paths = STORE_SUFFIXES.flatMap((suffix) => ['-P', `${file}${suffix}`])
  const calls = 'trace=pwrite64,write,ftruncate,fsync,fdatasync'
  const form = ['-y', '-xx', '-s', String(STRING_BYTES_MAX), '-ttt', '-T']
  return ['strace', '-D', '-ff', '-qq', '-o', tape, '-e', calls, '-e', 'signal=none', ...form, ...paths]
}

/**
 * What a process did to its disk, and what the disk may hold if the power fails at some moment: all that was
 * synced before, and of what was written since then any part, in any order, down to single sectors. That is
 * less than a real disk would lose or keep in practice, and all that a program may rely on.
 */
export class DiskTape {
  readonly recorded: readonly Recorded[]

  constructor(file: string, tape: string) {
    const logs = readdirSync(dirname(tape)).filter((name) => name.startsWith(`${basename(tape)}.`))
    const recorded = logs.flatMap((name) => parseLog(readFileSync(join(dirname(tape), name), 'latin1'), file))
    this.recorded = recorded.sort((left, right) => left.startMs - right.startMs)
  }

  get syncs(): number {
    return this.recorded.filter(({ step }) => step.kind === 'sync').length
  }

  /** The bytes of one file after a power failure at a moment. */
  imageAt(suffix: StoreSuffix, momentMs: number, random: SeededRandom): Buffer {
    const past = this.recorded.filter((one) => one.suffix === suffix && one.startMs <= momentMs)
    let synced = -1
    for (const [index, { step, endMs }] of past.entries()) {
      if (step.kind === 'sync' && endMs <= momentMs) synced = index
    }
    const image = new Image()
    for (const { step } of past.slice(0, Math.max(0, synced))) image.apply(step)
    // In one failure nothing at all is written back, in another nearly all, in most something in between.
    const share = random.pick([0, 0.2, 0.5, 0.8, 1])
    for (const { step } of past.slice(Math.max(0, synced))) {
      if (step.kind === 'write') image.applyPart(step, () => random.chance(share))
      else if (random.chance(share)) image.apply(step)
    }
    return image.bytes()
  }
}

class Image {
  private buffer = Buffer.alloc(1 << 20)
  private length = 0

  apply(step: Step): void {
    if (step.kind === 'write') this.write(step.at, step.bytes)
    else if (step.kind === 'truncate') this.resize(step.length)
  }

  /** Writes those sectors of a write that `isKept`. */
  applyPart({ at, bytes }: { at: number; bytes: Buffer }, isKept: () => boolean): void {
    for (let from = 0; from < bytes.length; ) {
      const end = Math.min(bytes.length, from + SECTOR_BYTES - ((at + from) % SECTOR_BYTES))
      if (isKept()) this.write(at + from, bytes.subarray(from, end))
      from = end
    }
  }

  bytes(): Buffer {
    return Buffer.from(this.buffer.subarray(0, this.length))
  }

  private write(at: number, bytes: Buffer): void {
    if (at + bytes.length > this.length) this.resize(at + bytes.length)
    bytes.copy(this.buffer, at)
  }

  private resize(length: number): void {
    while (length > this.buffer.length) this.buffer = Buffer.concat([this.buffer], this.buffer.length * 2)
    if (length < this.length) this.buffer.fill(0, length, this.length)
    this.length = length
  }
}

/** Lines such as `1790000000.123456 pwrite64(23<\x2f…>, "\x37…", 32, 0) = 32 <0.000012>`, all text in hex. */
function parseLog(text: string, file: string): Recorded[] {
  const recorded: Recorded[] = []
  for (const line of text.split('\n')) {
    const match = /^(\d+\.\d+) (\w+)\(\d+<([^>]*)>(?:, )?(.*)\)\s+= (-?\d+).*<(\d+\.\d+)>$/.exec(line)
    if (match === null) continue
    const [, start, call = '', path = '', rest = '', result, took] = match
    const suffix = STORE_SUFFIXES.find((one) => unhex(path).toString() === `${file}${one}`)
    if (suffix === undefined || Number(result) < 0) continue
    const startMs = Number(start) * 1_000
    recorded.push({ suffix, startMs, endMs: startMs + Number(took) * 1_000, step: parseStep(call, rest) })
  }
  return recorded
}

function parseStep(call: string, rest: string): Step {
  if (call === 'fsync' || call === 'fdatasync') return { kind: 'sync' }
  if (call === 'ftruncate') return { kind: 'truncate', length: Number(rest) }
  const match = /^"([^"]*)"(\.\.\.)?, (\d+), (\d+)$/.exec(rest)
  if (match === null || match[2] !== undefined)
    throw new Error(`a line that is not understood: ${call} ${rest}`)
  const [, hex = '', , count, at] = match
  const bytes = unhex(hex)
  if (bytes.length !== Number(count)) throw new Error(`a write of ${count} bytes shows ${bytes.length}`)
  return { kind: 'write', at: Number(at), bytes }
}

function unhex(text: string): Buffer {
  return Buffer.from(text.replaceAll('\\x', ''), 'hex')
}
