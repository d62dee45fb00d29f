import type { Readable } from 'node:stream'

/** Where a command writes; a terminal if `isTTY`. */
export interface OutputStream {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

export interface Streams {
  readonly stdin: Readable
  readonly stdout: OutputStream
  readonly stderr: OutputStream
}

const COLUMNS_DEFAULT = 80

/** What a command says: results go to stdout, as text or as JSON; everything else goes to stderr. */
export class Terminal {
  readonly streams: Streams
  readonly isJson: boolean

  constructor(streams: Streams, isJson: boolean) {
    this.streams = streams
    this.isJson = isJson
  }

  /** The result of a command: `value` with --json, else the text. */
  result(value: unknown, text: () => string): void {
    this.print(this.isJson ? JSON.stringify(value) : text())
  }

  /** A line or lines for stdout, as they are. */
  print(text: string): void {
    this.streams.stdout.write(`${text}\n`)
  }

  /** A line for people, kept out of the result. */
  note(line: string): void {
    this.streams.stderr.write(`${line}\n`)
  }

  /** Width of the terminal in characters; 80 where there is none. */
  get columns(): number {
    return this.streams.stdout.columns ?? COLUMNS_DEFAULT
  }
}

/** Columns aligned under their heads; columns named in `right` are aligned to the right. */
export function table(
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly string[] = [],
): string {
  const widths = heads.map((head, column) =>
    Math.max(head.length, ...rows.map((row) => printable(row[column] ?? '').length)),
  )
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0
        const shown = printable(cell)
        return right.includes(heads[column] ?? '') ? shown.padStart(width) : shown.padEnd(width)
      })
      .join('  ')
      .trimEnd()
  return [line(heads), ...rows.map(line)].join('\n')
}

/** A text without what could move the cursor or colour the terminal: keys come from strangers. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0
    return `\\u{${code.toString(16)}}`
  })
}

/** A whole number with commas between thousands. */
export function grouped(value: number): string {
  return value.toLocaleString('en-US')
}
