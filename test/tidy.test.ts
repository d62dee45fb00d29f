import { describe, expect, test } from 'vitest'
import { ERRORS } from '../src/core/errors.ts'
import { VERSION } from '../src/core/version.ts'
import {
  deadLinks,
  documentedErrors,
  hasTest,
  type Law,
  lawsOf,
  missingPaths,
  strayLines,
} from './tidy/documents.ts'
import { importCircle, importFlaw, importsOf, packageOf } from './tidy/imports.ts'
import { repositoryFiles, repositoryPaths, type TextFile } from './tidy/repository.ts'
import { FILE_LINES_MAX, FUNCTION_LINES_MAX, syntaxFlaws, TEST_LINES_MAX } from './tidy/syntax.ts'

const files = repositoryFiles()
const paths = repositoryPaths()
const sources = files.filter(({ path }) => path.endsWith('.ts'))
const shipped = sources.filter(({ path }) => path.startsWith('src/') && !path.endsWith('.test.ts'))
const documents = files.filter(({ path }) => path.endsWith('.md'))

function textOf(path: string): string {
  const file = files.find((candidate) => candidate.path === path)
  if (file === undefined) throw new Error(`${path} is missing`)
  return file.text
}

function flawsOfImports(file: TextFile): string[] {
  return importsOf(file).flatMap((imported) => importFlaw(file.path, imported) ?? [])
}

describe('the code', () => {
  test('imports go one way', () => {
    expect(sources.flatMap(flawsOfImports)).toEqual([])
  })

  test('no file of src loads itself in a circle', () => {
    expect(importCircle(shipped)).toBeUndefined()
  })

  test('files and functions are short, types are sound, no test is left out', () => {
    expect(sources.flatMap(syntaxFlaws)).toEqual([])
  })

  test('files are named in kebab-case', () => {
    const odd = sources.filter(
      ({ path }) => !/^(?:[\w.]+\/)*[a-z0-9]+(?:-[a-z0-9]+)*(?:\.test|\.config)?\.ts$/.test(path),
    )
    expect(odd.map(({ path }) => path)).toEqual([])
  })

  test('what src imports is installed with it, and what is installed is imported', () => {
    const { dependencies } = JSON.parse(textOf('package.json')) as { dependencies: Record<string, string> }
    const imported = new Set(
      shipped
        .flatMap(importsOf)
        .filter(({ isType }) => !isType)
        .map(({ specifier }) => packageOf(specifier))
        .filter((name) => !name.startsWith('.') && !name.startsWith('node:')),
    )
    expect([...imported].sort()).toEqual(Object.keys(dependencies).sort())
  })

  test('nothing names a place of one machine or is left to do', () => {
    expect(files.flatMap(strayLines)).toEqual([])
  })

  test('the version is the same everywhere', () => {
    expect(JSON.parse(textOf('package.json'))).toMatchObject({ version: VERSION })
    expect(JSON.parse(textOf('package-lock.json'))).toMatchObject({ version: VERSION })
    expect(textOf('CHANGELOG.md')).toContain(`## ${VERSION}`)
  })
})

describe('the documents', () => {
  test('every error code is documented with its status, and no other is', () => {
    const documented = documentedErrors(textOf('docs/errors.md'))
    const byCode = (a: { code: string }, b: { code: string }) => (a.code < b.code ? -1 : 1)
    const declared = Object.entries(ERRORS).map(([code, { status, retryable }]) => ({
      code,
      status,
      retryable,
    }))
    expect(documented.sort(byCode)).toEqual(declared.sort(byCode))
  })

  test('every law names tests that exist', () => {
    const laws = lawsOf(textOf('SPEC.md'))
    expect(laws.map(({ number }) => number)).toEqual(
      Array.from({ length: 11 }, (_, index) => `L${index + 1}`),
    )
    expect(laws.flatMap(lawFlaws)).toEqual([])
  })

  test('they name no file that is not there', () => {
    expect(documents.flatMap((file) => missingPaths(file, paths))).toEqual([])
    expect(documents.flatMap((file) => deadLinks(file, files, paths))).toEqual([])
  })

  test('every page is in the index', () => {
    const index = textOf('docs/README.md')
    const pages = documents.map(({ path }) => path).filter((path) => path.startsWith('docs/'))
    const missing = pages.filter((path) => !index.includes(`(${path.slice('docs/'.length)})`))
    expect(missing.filter((path) => path !== 'docs/README.md')).toEqual([])
  })

  test('comments name no file that is not there', () => {
    const others = sources.filter(({ path }) => path !== 'test/tidy.test.ts')
    expect(others.flatMap((file) => missingPaths(file, paths))).toEqual([])
  })
})

function lawFlaws({ number, tests, isLeftOut }: Law): string[] {
  if (tests.length === 0 && !isLeftOut) return [`${number} names no test`]
  return tests
    .filter(({ file, title }) => {
      const found = files.find(({ path }) => path === file)
      return found === undefined || !hasTest(found, title)
    })
    .map(({ file, title }) => `${number} names "${title}", which ${file} has not`)
}

/** Each rule with a text that breaks it: a rule that nothing can break holds nothing. */
describe('each rule can fail', () => {
  const broken = (path: string, text: string): string[] => {
    const file = { path, text }
    return [...flawsOfImports(file), ...syntaxFlaws(file)]
  }

  test.each([
    ['src/core/a.ts', "import { x } from '../store/store.ts'"],
    ['src/core/a.ts', "import { x } from 'node:fs'"],
    ['src/core/a.ts', "import { x } from 'fastify'"],
    ['src/store/store.ts', "import { x } from './sqlite/tables.ts'"],
    ['src/store/store.ts', "import { x } from '../server/route.ts'"],
    ['src/store/sqlite/a.ts', "import { x } from '../../settings/settings.ts'"],
    ['src/store/sqlite/a.ts', "import { x } from '../postgres/b.ts'"],
    ['src/store/postgres/a.ts', "import { x } from 'node:sqlite'"],
    ['src/intake/a.ts', "import { x } from '../query/b.ts'"],
    ['src/intake/a.ts', "export { x } from '../store/sqlite/tables.ts'"],
    ['src/query/a.ts', "const x = await import('../drivers.ts')"],
    ['src/query/a.ts', "import type { X } from '../settings/settings.ts'"],
    ['src/query/a.ts', "import { x } from '../server/problem.ts'"],
    ['src/server/a.ts', "import { loadSettings } from '../settings/settings.ts'"],
    ['src/server/a.ts', "import type { X } from '../intake/routes.ts'"],
    ['src/server/a.ts', "import { x } from '../store/store.ts'"],
    ['src/settings/a.ts', "import { x } from '../server/server.ts'"],
    ['src/cli/a.ts', "import { x } from '../store/sqlite/tables.ts'"],
    ['src/compose.ts', "import { x } from './store/sqlite/sqlite-store.ts'"],
    ['src/drivers.ts', "import { x } from './store/sqlite/sqlite-store.ts'"],
    ['src/main.ts', "import { x } from './compose.ts'"],
    ['src/query/a.test.ts', "import { x } from '../store/sqlite/tables.ts'"],
    ['src/query/a.ts', "import { x } from '../../test/support/b.ts'"],
    ['src/query/a.ts', 'let x: any'],
    ['src/query/a.ts', 'let x = y as unknown as any[]'],
    ['src/query/a.ts', 'const x = y!.z'],
    ['src/query/a.ts', 'enum X { a }'],
    ['src/cli/a.ts', 'const x = process.env.HOME'],
    ['src/cli/a.ts', "const x = process['env']"],
    ['src/cli/a.ts', 'const { env } = process'],
    ['test/a.test.ts', "test.only('x', () => {})"],
    ['test/a.test.ts', "it.skip('x', () => {})"],
    ['test/a.test.ts', "describe.concurrent.only('x', () => {})"],
    ['test/a.test.ts', "test.skip.each([])('x', () => {})"],
    ['test/a.test.ts', "test('x', (context) => context.skip())"],
    ['src/query/a.ts', `function x() {\n${'y()\n'.repeat(FUNCTION_LINES_MAX)}}`],
    ['src/query/a.ts', 'y()\n'.repeat(FILE_LINES_MAX + 1)],
    ['test/a.test.ts', 'y()\n'.repeat(TEST_LINES_MAX + 1)],
  ])('%s: %s', (path, text) => {
    expect(broken(path, text)).toHaveLength(1)
  })

  test.each([
    ['src/store/sqlite/a.ts', "import { x } from 'node:sqlite'\nimport type { Y } from '../store.ts'"],
    ['src/intake/a.ts', "import { x } from '../server/body.ts'\nimport type { Y } from '../store/store.ts'"],
    ['src/drivers.ts', "const x = () => import('./store/sqlite/sqlite-store.ts')"],
    ['src/query/a.test.ts', "import { openStore } from '../drivers.ts'"],
    ['test/a.test.ts', `describe('x', () => {\n${"it('y', z)\n".repeat(FUNCTION_LINES_MAX)}})`],
    ['test/a.test.ts', "it('x', (context) => context.skip('strace is missing'))"],
  ])('and takes what is right: %s: %s', (path, text) => {
    expect(broken(path, text)).toEqual([])
  })

  test('a circle is found, but not where only types cross', () => {
    const a = { path: 'src/core/a.ts', text: "import { b } from './b.ts'" }
    const b = { path: 'src/core/b.ts', text: "import { a } from './a.ts'" }
    expect(importCircle([a, b])).toEqual(['src/core/a.ts', 'src/core/b.ts', 'src/core/a.ts'])
    expect(importCircle([a, { ...b, text: "import type { A } from './a.ts'" }])).toBeUndefined()
  })

  test('documents that are wrong are found', () => {
    const page = (text: string): TextFile => ({ path: 'docs/page.md', text })
    expect(missingPaths(page('see `src/nowhere.ts` and `src/*/nowhere-*.ts`'), paths)).toHaveLength(2)
    expect(missingPaths({ path: 'src/a.ts', text: '// see docs/nowhere.md' }, paths)).toHaveLength(1)
    expect(deadLinks(page('[a](nowhere.md) [b](errors.md#no_such_code)'), files, paths)).toHaveLength(2)
    expect(deadLinks(page('[a](errors.md#malformed_json) [b](../README.md)'), files, paths)).toEqual([])
    expect(documentedErrors('### a_code\n\nSome text.')).toEqual([
      { code: 'a_code', status: Number.NaN, retryable: false },
    ])
    expect(lawsOf('## L1 A law\n\nText.').flatMap(lawFlaws)).toEqual(['L1 names no test'])
    expect(lawsOf('## L1 A law\n\n- `test/tidy.test.ts`: "no such title"').flatMap(lawFlaws)).toHaveLength(1)
    const [folder, network] = ['home', 'internal']
    expect(strayLines(page(`in /${folder}/someone/x\nhttp://registry.${network}/\n${'TO'}DO`))).toHaveLength(
      3,
    )
  })
})
