import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A text file of the repository; `path` starts at the repository's root and has forward slashes. */
export interface TextFile {
  readonly path: string
  readonly text: string
}

const ROOT = join(import.meta.dirname, '..', '..')
const SKIPPED_FOLDERS = ['node_modules', '.git', 'data', 'coverage']
const TEXT = /(\.(ts|md|json|ya?ml|html|css|sh|js)|^LICENSE|^\.gitignore|^\.ci\/run)$/

/** Every text file that belongs to the project, also those that are not committed yet. */
export function repositoryFiles(): TextFile[] {
  return pathsBelow('')
    .filter((path) => TEXT.test(path))
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }))
}

/** Every path of the project, files and folders; folders end with a slash. */
export function repositoryPaths(): ReadonlySet<string> {
  const paths = new Set<string>()
  for (const path of pathsBelow('')) {
    paths.add(path)
    for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1)) {
      paths.add(path.slice(0, end + 1))
    }
  }
  return paths
}

function pathsBelow(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}${entry.name}`
    if (!entry.isDirectory()) return [path]
    return SKIPPED_FOLDERS.includes(entry.name) ? [] : pathsBelow(`${path}/`)
  })
}
