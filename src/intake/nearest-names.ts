import { NAME_CHARS_MAX } from '../core/limits.ts'

const NAMES_SHOWN_MAX = 5
/** An error message is not worth more comparisons than this. */
const NAMES_COMPARED_MAX = 200

/** The names most like a mistyped one, nearest first, by edits of single characters without regard to case. */
export function nearestNames(wanted: string, names: readonly string[]): string[] {
  const short = wanted.slice(0, NAME_CHARS_MAX).toLowerCase()
  const ranked = names
    .slice(0, NAMES_COMPARED_MAX)
    .map((name) => ({ name, edits: editDistance(short, name.toLowerCase()) }))
  ranked.sort((left, right) => left.edits - right.edits || (left.name < right.name ? -1 : 1))
  return ranked.slice(0, NAMES_SHOWN_MAX).map(({ name }) => name)
}

/** Levenshtein's distance, one row at a time. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let line = 1; line <= from.length; line++) {
    const next = [line]
    for (let column = 1; column <= to.length; column++) {
      const replaced = (row[column - 1] ?? 0) + (from[line - 1] === to[column - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[to.length] ?? 0
}
