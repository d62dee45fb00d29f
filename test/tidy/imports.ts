import { posix } from 'node:path'
import type { TextFile } from './repository.ts'
import { child, parse, type SyntaxNode, walk } from './syntax.ts'

/** One import or re-export. */
export interface Import {
  /** As it is written. */
  readonly specifier: string
  /** Only types cross: nothing is loaded. */
  readonly isType: boolean
  /** Loaded when it is first used. */
  readonly isLazy: boolean
}

/** Where a file belongs; the rules are said in these words. */
export type Area =
  | { readonly kind: 'core' | 'settings' | 'server' | 'cli' | 'root' | 'outside' }
  | { readonly kind: 'stage' | 'port'; readonly name: string }
  | { readonly kind: 'driver'; readonly name: string; readonly port: string }

const STAGES = ['intake', 'worker', 'capture', 'query', 'relay']
const PORTS = ['store', 'log', 'cache', 'source', 'discovery']
/** What a stage may know of the server: how a route is declared, how its body arrives, how an answer leaves. */
const SERVER_CONTRACTS = ['src/server/route.ts', 'src/server/body.ts', 'src/server/answer.ts']
/** The files that join the parts. */
const JOINTS = ['src/compose.ts', 'src/drivers.ts']

/** Libraries that only one part of the project knows; the path says which. */
const VENDORS: Readonly<Record<string, string>> = {
  'node:sqlite': 'src/store/sqlite/',
  commander: 'src/cli/',
  'cli-progress': 'src/cli/',
  'csv-parse': 'src/cli/',
  yaml: 'src/settings/',
  jose: 'src/server/',
  'prom-client': 'src/server/',
}

export function areaOf(path: string): Area {
  const [top, folder = '', ...rest] = path.split('/')
  if (top !== 'src') return { kind: 'outside' }
  if (rest.length === 0) return { kind: 'root' }
  if (folder === 'core' || folder === 'settings' || folder === 'server' || folder === 'cli') {
    return { kind: folder }
  }
  if (STAGES.includes(folder)) return { kind: 'stage', name: folder }
  if (!PORTS.includes(folder)) return { kind: 'outside' }
  if (rest.length === 1) return { kind: 'port', name: folder }
  return { kind: 'driver', name: rest[0] ?? '', port: folder }
}

export function importsOf(file: TextFile): Import[] {
  const found: Import[] = []
  walk(parse(file), (node) => {
    const source = child(node, 'source')
    if (source?.type !== 'Literal' || !IMPORTS.includes(node.type)) return
    found.push({
      specifier: String(source.value),
      isType: node.importKind === 'type' || node.exportKind === 'type' || hasOnlyTypes(node),
      isLazy: node.type === 'ImportExpression',
    })
  })
  return found
}

const IMPORTS = ['ImportDeclaration', 'ExportNamedDeclaration', 'ExportAllDeclaration', 'ImportExpression']

/** `import { type A, type B } from …` */
function hasOnlyTypes(node: SyntaxNode): boolean {
  const names = Array.isArray(node.specifiers) ? (node.specifiers as SyntaxNode[]) : []
  return names.length > 0 && names.every((name) => name.importKind === 'type' || name.exportKind === 'type')
}

/** The file that a relative import names, or undefined for a package. */
export function targetOf(path: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined
  return posix.join(posix.dirname(path), specifier)
}

/** What is wrong with an import of `path`, or undefined. Tests may also import what tests need. */
export function importFlaw(path: string, imported: Import): string | undefined {
  const from = areaOf(path)
  if (from.kind === 'outside') return undefined
  const isTest = path.endsWith('.test.ts')
  const { specifier } = imported
  const target = targetOf(path, specifier)
  if (target === undefined) {
    const home = VENDORS[packageOf(specifier)]
    if (from.kind === 'core' && !isTest) return `${path} imports ${specifier}; core imports nothing but core`
    if (home === undefined || path.startsWith(home)) return undefined
    return `${path} imports ${specifier}, which only ${home} may know`
  }
  if (isTest && (target.startsWith('test/') || JOINTS.includes(target))) return undefined
  if (isAllowed(path, from, target, imported)) return undefined
  return `${path} (${describeArea(from)}) imports ${target} (${describeArea(areaOf(target))})`
}

/** `@scope/name/sub` → `@scope/name`; `node:fs/promises` → `node:fs`. */
export function packageOf(specifier: string): string {
  const parts = specifier.split('/')
  return parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/')
}

function isAllowed(path: string, from: Area, target: string, { isType, isLazy }: Import): boolean {
  const to = areaOf(target)
  const isContract = to.kind === 'port' && target === `src/${to.name}/${to.name}.ts`
  const isSame = describeArea(from) === describeArea(to)
  if (to.kind === 'outside') return false
  if (from.kind === 'root') return isAllowedToJoint(path, to, { isType, isLazy })
  if (to.kind === 'core' || isSame) return true
  if (from.kind === 'driver') return to.kind === 'port' && to.name === from.port
  if (from.kind === 'stage') return isContract || SERVER_CONTRACTS.includes(target)
  if (from.kind === 'server') return isType && (isContract || to.kind === 'settings')
  if (from.kind === 'cli') return to.kind !== 'driver'
  return false
}

/** main.ts starts the command line, compose.ts joins everything but drivers, drivers.ts loads those. */
function isAllowedToJoint(path: string, to: Area, { isType, isLazy }: Omit<Import, 'specifier'>): boolean {
  if (path === 'src/main.ts') return to.kind === 'cli'
  if (path !== 'src/drivers.ts') return to.kind !== 'driver' && to.kind !== 'cli'
  return to.kind === 'core' || (to.kind === 'port' && isType) || (to.kind === 'driver' && isLazy)
}

function describeArea(area: Area): string {
  if (area.kind === 'driver') return `the driver ${area.port}/${area.name}`
  return 'name' in area ? `the ${area.kind} ${area.name}` : area.kind
}

/** The first circle among files that load each other when they are loaded themselves, or undefined. */
export function importCircle(files: readonly TextFile[]): string[] | undefined {
  const graph = new Map(
    files.map((file) => [
      file.path,
      importsOf(file)
        .filter(({ isType, isLazy }) => !isType && !isLazy)
        .flatMap(({ specifier }) => targetOf(file.path, specifier) ?? []),
    ]),
  )
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): string[] | undefined => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path]
    if (done.has(path)) return undefined
    for (const next of graph.get(path) ?? []) {
      const circle = visit(next, [...trail, path])
      if (circle !== undefined) return circle
    }
    done.add(path)
    return undefined
  }
  for (const path of graph.keys()) {
    const circle = visit(path, [])
    if (circle !== undefined) return circle
  }
  return undefined
}
