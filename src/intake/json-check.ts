import { type ErrorCode, shown, TallyError } from '../core/errors.ts'
import { JSON_DEPTH_MAX } from '../core/limits.ts'

/** Where a JSON text stands in its request. */
export interface Place {
  /** The line of an NDJSON body, from 1. */
  readonly line?: number
  /** The index of the event that the text is, from 0. */
  readonly index?: number
  /** The value is a CloudEvent in binary mode: attributes are headers, the body is its data. */
  readonly isBinary?: true
}

/** A way into a value: names of members and indices of elements. */
export type Path = readonly (string | number)[]

const SEGMENT_CHARS_MAX = 80

/** The path as a JSON Pointer (RFC 6901), with its line in front where there is one; or the name of a header. */
export function pointer(path: Path, place: Place = {}): string {
  if (place.isBinary)
    return path[0] === 'data' ? pointer(path.slice(1)) : `header ce-${escaped(path[0] ?? '')}`
  let text = ''
  for (const segment of path) text += `/${escaped(segment)}`
  return place.line === undefined ? text : `line ${place.line}: ${text}`
}

function escaped(segment: string | number): string {
  if (typeof segment === 'number') return String(segment)
  const short = segment.length > SEGMENT_CHARS_MAX ? `${segment.slice(0, SEGMENT_CHARS_MAX)}…` : segment
  return short.replaceAll('~', '~0').replaceAll('/', '~1')
}

/**
 * Reads a JSON text character by character (RFC 8259) and throws at the first thing that JSON.parse would
 * not say or not mind: `malformed_json` with line and column, `duplicate_member`, `nesting_too_deep` beyond
 * JSON_DEPTH_MAX. Text that passes is taken by JSON.parse without loss. Several times slower than
 * JSON.parse: for texts that are not plain, and to name what is wrong.
 */
export function checkJson(text: string, place: Place = {}): void {
  new JsonCheck(text, place).run()
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
/** What ends a run of plain characters in a string: a quotation mark, a backslash, or a unit below the space. */
const STRING_END = /["\\]|[^ -\uffff]/g
const ESCAPE = /\\(?:["\\/bfnrt]|u[\dA-Fa-f]{4})/y
const SPACE = /[ \t\n\r]*/y

class JsonCheck {
  readonly #text: string
  readonly #place: Place
  readonly #path: (string | number)[]
  #at: number

  constructor(text: string, place: Place) {
    this.#text = text
    this.#place = place
    this.#path = []
    this.#at = 0
  }

  run(): void {
    this.#value('a JSON value')
    this.#space()
    if (this.#at < this.#text.length) throw this.#malformed('the end of the text')
  }

  #value(expected: string): void {
    this.#space()
    const first = this.#text[this.#at]
    if (first === '{') this.#object()
    else if (first === '[') this.#array()
    else if (first === '"') this.#string()
    else if (first === 't') this.#word('true')
    else if (first === 'f') this.#word('false')
    else if (first === 'n') this.#word('null')
    else if (!this.#match(NUMBER)) throw this.#malformed(expected)
  }

  #object(): void {
    this.#enter()
    const names = new Set<string>()
    this.#space()
    if (this.#take('}')) return
    do {
      this.#space()
      if (this.#text[this.#at] !== '"') throw this.#malformed('the name of a member in quotation marks')
      const name = this.#string()
      this.#path.push(name)
      if (names.has(name)) {
        throw this.#refused('duplicate_member', 'An object names the same member twice', {
          expected: 'each name once',
          got: shown(name),
        })
      }
      names.add(name)
      this.#space()
      if (!this.#take(':')) throw this.#malformed('a colon')
      this.#value('a JSON value')
      this.#path.pop()
      this.#space()
    } while (this.#take(','))
    if (!this.#take('}')) throw this.#malformed('a comma or }')
  }

  #array(): void {
    this.#enter()
    this.#space()
    if (this.#take(']')) return
    let index = 0
    do {
      this.#path.push(index)
      this.#value('a JSON value')
      this.#path.pop()
      index++
      this.#space()
    } while (this.#take(','))
    if (!this.#take(']')) throw this.#malformed('a comma or ]')
  }

  /** Steps into an object or array. The path's length is the depth outside of it. */
  #enter(): void {
    if (this.#path.length >= JSON_DEPTH_MAX) {
      throw this.#refused('nesting_too_deep', 'Objects and arrays are nested too deeply', {
        expected: `at most ${JSON_DEPTH_MAX} levels`,
      })
    }
    this.#at++
  }

  #string(): string {
    const from = this.#at
    let escapes = false
    this.#at++
    for (;;) {
      STRING_END.lastIndex = this.#at
      const end = STRING_END.exec(this.#text)
      if (end === null) {
        this.#at = this.#text.length
        throw this.#malformed('the closing quotation mark')
      }
      this.#at = end.index
      if (end[0] === '"') break
      if (end[0] !== '\\') throw this.#malformed('control characters to be escaped')
      if (!this.#match(ESCAPE)) throw this.#malformed('an escape of JSON')
      escapes = true
    }
    this.#at++
    if (!escapes) return this.#text.slice(from + 1, this.#at - 1)
    return String(JSON.parse(this.#text.slice(from, this.#at)))
  }

  #word(word: string): void {
    if (!this.#text.startsWith(word, this.#at)) throw this.#malformed('a JSON value')
    this.#at += word.length
  }

  #take(char: string): boolean {
    if (this.#text[this.#at] !== char) return false
    this.#at++
    return true
  }

  #match(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at
    if (!pattern.test(this.#text)) return false
    this.#at = pattern.lastIndex
    return true
  }

  #space(): void {
    const unit = this.#text.charCodeAt(this.#at)
    if (unit === 32 || unit === 10 || unit === 13 || unit === 9) this.#match(SPACE)
  }

  #malformed(expected: string): TallyError {
    const before = this.#text.slice(0, this.#at)
    const line = this.#place.line ?? before.split('\n').length
    const column = this.#at - before.lastIndexOf('\n')
    const next = this.#text.codePointAt(this.#at)
    return new TallyError('malformed_json', 'The text is not JSON (RFC 8259)', {
      at: `line ${line}, column ${column}`,
      ...this.#index(),
      expected,
      got: next === undefined ? 'the end of the text' : shown(String.fromCodePoint(next)),
    })
  }

  #refused(code: ErrorCode, message: string, found: { expected: string; got?: string }): TallyError {
    return new TallyError(code, message, { at: pointer(this.#path, this.#place), ...this.#index(), ...found })
  }

  /** The first index on the way is the event's, where the text is a batch. */
  #index(): { index?: number } {
    const index = this.#place.index ?? this.#path[0]
    return typeof index === 'number' ? { index } : {}
  }
}
