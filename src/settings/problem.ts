/** One thing that is wrong with the settings. */
export interface SettingProblem {
  /** Where it was written: `tally.yaml:7`, `TALLY_PORT`, `--port`. */
  readonly source: string
  /** The key as written in the file, such as `port` or `counters.clicks.series`. */
  readonly key: string
  readonly expected: string
  /** What stood there; of a secret, only its length. */
  readonly got?: string
  /** The name that was probably meant. */
  readonly suggestion?: string
}

/** A problem as one line of text. */
export function problemLine(problem: SettingProblem): string {
  const { source, key, expected, got, suggestion } = problem
  const gotText = got === undefined ? '' : `, got ${got}`
  const meant = suggestion === undefined ? '' : ` (did you mean ${suggestion}?)`
  return `${source}: ${key}: expected ${expected}${gotText}${meant}`
}

/** What an option's parser is given. */
export interface Input {
  /** A value of the file, or the text of a variable or flag. */
  readonly raw: unknown
  /** Notes a problem; `path` leads to a part of the value, for values that have parts. */
  refuse(problem: {
    expected: string
    got?: string
    suggestion?: string
    path?: readonly string[]
  }): undefined
}
