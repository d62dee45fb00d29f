import type { Readable } from 'node:stream'
import { IMPORT_LINE_BYTES_MAX } from '../../core/limits.ts'

/** A line of a file, without its line break. */
export interface Line {
  /** From 1. */
  readonly number: number
  /** Undefined where the line is too long or not valid UTF-8. */
  readonly text: string | undefined
  readonly flaw?: string
  /** False for a last line without a line break: it may still be being written. */
  readonly isEnded: boolean
}

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d

/**
 * Splits a stream of bytes into lines, those of one chunk together. A line that is too long is dropped
 * while it streams, so memory stays bounded. A byte order mark at the start is left out.
 */
export async function* readLines(input: Readable): AsyncGenerator<Line[]> {
  const splitter = new LineSplitter()
  for await (const chunk of input) yield splitter.push(chunk as Buffer)
  yield splitter.end()
}

class LineSplitter {
  private readonly decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  /** The beginning of the line that goes on in the next chunk; undefined while a too long one is dropped. */
  private rest: Buffer | undefined = Buffer.alloc(0)
  private number = 0

  push(chunk: Buffer): Line[] {
    const lines: Line[] = []
    let from = 0
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, from)) {
      lines.push(this.line(chunk.subarray(from, end), true))
      this.rest = Buffer.alloc(0)
      from = end + 1
    }
    this.keep(chunk.subarray(from))
    return lines
  }

  end(): Line[] {
    if (this.rest === undefined || this.rest.length > 0) return [this.line(Buffer.alloc(0), false)]
    return []
  }

  private keep(bytes: Buffer): void {
    if (this.rest === undefined || bytes.length === 0) return
    const isTooLong = this.rest.length + bytes.length > IMPORT_LINE_BYTES_MAX
    this.rest = isTooLong ? undefined : Buffer.concat([this.rest, bytes])
  }

  private line(tail: Buffer, isEnded: boolean): Line {
    this.number++
    const { number, rest } = this
    const flaw = `the line is longer than ${IMPORT_LINE_BYTES_MAX} bytes`
    if (rest === undefined || rest.length + tail.length > IMPORT_LINE_BYTES_MAX) {
      return { number, text: undefined, flaw, isEnded }
    }
    const whole = rest.length === 0 ? tail : Buffer.concat([rest, tail])
    const bytes = whole.at(-1) === CARRIAGE_RETURN ? whole.subarray(0, -1) : whole
    try {
      const text = this.decoder.decode(bytes)
      return { number, text: number === 1 ? text.replace(/^\uFEFF/, '') : text, isEnded }
    } catch {
      return { number, text: undefined, flaw: 'the line is not valid UTF-8', isEnded }
    }
  }
}
