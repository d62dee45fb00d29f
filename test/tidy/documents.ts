import { posix } from 'node:path'
import type { TextFile } from './repository.ts'

/** Folders whose files are named by their path, in documents and in comments. */
const FOLDERS = 'src|test|bench|docs|scripts|deploy|client|dashboard|\\.ci'
/** A path as it stands between backticks; `*` stands for any name. */
const IN_BACKTICKS = new RegExp(`^(?:${FOLDERS})/[\\w./*-]*$`)
/** A path of a text in a comment or a string. */
const IN_SOURCE = new RegExp(`(?<![\\w./-])(?:${FOLDERS})/[\\w./-]*\\.(?:ts|md|ya?ml)(?![\\w-])`, 'g')

/** Files that a text names and that are not there. */
export function missingPaths({ path, text }: TextFile, paths: ReadonlySet<string>): string[] {
  const named = path.endsWith('.md')
    ? [...text.matchAll(/`([^`\n]+)`/g)]
        .map(([, code = '']) => code)
        .filter((code) => IN_BACKTICKS.test(code))
    : [...text.matchAll(IN_SOURCE)].map(([code]) => code)
  return named
    .filter((name) => !isThere(name, paths))
    .map((name) => `${path} names ${name}, which isn't there`)
}

function isThere(name: string, paths: ReadonlySet<string>): boolean {
  if (!name.includes('*')) return paths.has(name) || paths.has(`${name}/`)
  const pattern = new RegExp(`^${name.split('*').map(escaped).join('[^/]*')}$`)
  return [...paths].some((path) => pattern.test(path))
}

function escaped(text: string): string {
  return text.replace(/[.+^$()[\]{}|\\]/g, '\\$&')
}

/** Links of a document that lead nowhere: to a file that isn't there, or to a heading that its file lacks. */
export function deadLinks(
  document: TextFile,
  files: readonly TextFile[],
  paths: ReadonlySet<string>,
): string[] {
  const prose = document.text.replaceAll(/```[\s\S]*?```/g, '')
  const flaws: string[] = []
  for (const [, link = ''] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(link)) continue
    const [file = '', heading] = link.split('#')
    const target = file === '' ? document.path : posix.join(posix.dirname(document.path), file)
    if (!isThere(target, paths)) flaws.push(`${document.path} links to ${link}, which isn't there`)
    else if (heading !== undefined && !headingsOf(files, target).includes(heading)) {
      flaws.push(`${document.path} links to ${link}, which has no such heading`)
    }
  }
  return flaws
}

/** The anchors of a document's headings, as the usual viewers make them. */
function headingsOf(files: readonly TextFile[], path: string): string[] {
  const text = files.find((file) => file.path === path)?.text ?? ''
  return [...text.matchAll(/^#{1,6} (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-'),
  )
}

/** What docs/errors.md says of a code. */
export interface DocumentedError {
  readonly code: string
  readonly status: number
  readonly retryable: boolean
}

/** `### code`, then a line that starts with `**503**, try again` or `**400**, final`. */
export function documentedErrors(text: string): DocumentedError[] {
  const entries = text.matchAll(/^### (\w+)\n\n(?:\*\*(\d{3})\*\*, (try again|final)\. )?/gm)
  return [...entries].map(([, code = '', status, again]) => ({
    code,
    status: Number(status),
    retryable: again === 'try again',
  }))
}

/** A law of SPEC.md with the tests that hold it. */
export interface Law {
  readonly number: string
  readonly tests: readonly { readonly file: string; readonly title: string }[]
  /** Said in so many words: this version does not keep it. */
  readonly isLeftOut: boolean
}

/** `## L1 …`, then lines with a file of tests in backticks and a title in quotation marks. */
export function lawsOf(text: string): Law[] {
  return text
    .split(/^## (?=L\d)/m)
    .slice(1)
    .map((section) => ({
      number: /^L\d+/.exec(section)?.[0] ?? '',
      tests: [...section.matchAll(/^- `([^`]+)`: "(.+)"$/gm)].map(([, file = '', title = '']) => ({
        file,
        title,
      })),
      isLeftOut: section.includes('Not in this version.'),
    }))
}

/** Whether a file of tests has a test of exactly this title. */
export function hasTest({ text }: TextFile, title: string): boolean {
  return [...text.matchAll(/\b(?:test|it)(?:\.\w+)*\(\s*(['"`])(.*?)(?<!\\)\1/g)].some(
    ([, , found = '']) => found.replaceAll('\\', '') === title,
  )
}

const PLACES = /(?<![\w.])\/(?:wor[k]|roo[t]|hom[e]\/\w+|User[s]\/\w+|tm[p]\/x)\//
const HOSTS = /https?:\/\/[\w.-]+\.(?:interna[l]|la[n]|cor[p]|loca[l])\b|"resolve[d]": "/
const LEFT_TO_DO = /\b(?:TOD[O]|FIXM[E]|XX[X]|HAC[K])\b/

/** Lines of any text that belong to one machine, or to later. */
export function strayLines({ path, text }: TextFile): string[] {
  const flaws: string[] = []
  for (const [index, line] of text.split('\n').entries()) {
    const at = `${path}:${index + 1}`
    if (PLACES.test(line)) flaws.push(`${at}: a path of one machine`)
    if (HOSTS.test(line)) flaws.push(`${at}: a host of one network`)
    if (LEFT_TO_DO.test(line)) flaws.push(`${at}: something left to do`)
  }
  return flaws
}
