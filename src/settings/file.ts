import { readFileSync } from 'node:fs'
import { isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml'
import type { SettingProblem } from './problem.ts'

/** A settings file, read. */
export interface SettingsFile {
  /** Its path as it was given. */
  readonly file: string
  /** Its top-level keys and values. */
  readonly values: ReadonlyMap<string, unknown>
  /** `file:line` of a value. */
  locate(path: readonly string[]): string
}

/** What can be read of a settings file, and why not all of it. */
export interface FileRead {
  readonly found: SettingsFile | undefined
  readonly problems: readonly SettingProblem[]
}

/** Reads a YAML file (1.2, core schema). A missing file is a problem only when it was asked for. */
export function readSettingsFile(file: string, isRequired: boolean): FileRead {
  let source: string
  try {
    source = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file))
  } catch (error) {
    if (isMissing(error) && !isRequired) return { found: undefined, problems: [] }
    const got = isMissing(error)
      ? 'nothing at this path'
      : error instanceof Error
        ? error.message
        : 'an error'
    return {
      found: undefined,
      problems: [{ source: file, key: '(file)', expected: 'a readable YAML file', got }],
    }
  }
  return parseSettings(file, source)
}

/** Parses the text of a settings file; `file` is only named in problems. */
export function parseSettings(file: string, source: string): FileRead {
  const lines = new LineCounter()
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false })
  const lineAt = (offset: number | undefined): string =>
    offset === undefined ? file : `${file}:${lines.linePos(offset).line}`
  if (document.errors.length > 0) {
    const problems = document.errors.map((error) => ({
      source: lineAt(error.pos[0]),
      key: '(file)',
      expected: 'well-formed YAML',
      got: error.message,
    }))
    return { found: undefined, problems }
  }
  const root = document.contents
  if (root === null || (isScalar(root) && root.value === null)) return { found: noValues(file), problems: [] }
  if (!isMap(root)) {
    const source = lineAt(root.range?.[0])
    return { found: undefined, problems: [{ source, key: '(file)', expected: 'a map of settings' }] }
  }
  let values: Record<string, unknown>
  try {
    values = document.toJS() as Record<string, unknown>
  } catch {
    // Aliases that unfold without end.
    return { found: undefined, problems: [{ source: file, key: '(file)', expected: 'fewer aliases' }] }
  }
  const locate = (path: readonly string[]): string => lineAt(offsetOf(root, path))
  return { found: { file, values: new Map(Object.entries(values)), locate }, problems: [] }
}

function noValues(file: string): SettingsFile {
  return { file, values: new Map(), locate: () => file }
}

/** Where the key (or the list's element) at the end of a path begins; as far as the path leads. */
function offsetOf(root: unknown, path: readonly string[]): number | undefined {
  let node: unknown = root
  let offset: number | undefined
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === step)
      if (pair === undefined) return offset
      offset = isScalar(pair.key) ? pair.key.range?.[0] : offset
      node = pair.value
    } else if (isSeq(node)) {
      const item = node.items[Number(step)]
      offset = isScalar(item) ? item.range?.[0] : offset
      node = item
    } else return offset
  }
  return offset
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
