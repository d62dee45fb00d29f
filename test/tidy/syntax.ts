import { parseAst } from 'vitest/node'
import type { TextFile } from './repository.ts'

/** A node of the syntax tree (ESTree with TypeScript); offsets count UTF-16 units. */
export interface SyntaxNode {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [field: string]: unknown
}

export const FILE_LINES_MAX = 400
/** A suite that goes through all cases of one thing is easier to read in one piece. */
export const TEST_LINES_MAX = 500
export const FUNCTION_LINES_MAX = 70

export function parse({ path, text }: TextFile): SyntaxNode {
  return parseAst(text, { lang: 'ts' }, path) as unknown as SyntaxNode
}

/** Visits every node, parents first. */
export function walk(node: SyntaxNode, visit: (node: SyntaxNode, parent?: SyntaxNode) => void): void {
  const go = (current: SyntaxNode, parent: SyntaxNode | undefined): void => {
    visit(current, parent)
    for (const value of Object.values(current)) {
      for (const child of Array.isArray(value) ? value : [value]) {
        if (isNode(child)) go(child, current)
      }
    }
  }
  go(node, undefined)
}

/** The field of a node that holds another node. */
export function child(node: SyntaxNode, field: string): SyntaxNode | undefined {
  const value = node[field]
  return isNode(value) ? value : undefined
}

function isNode(value: unknown): value is SyntaxNode {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
}

/** What the syntax of a file has that it must not have, each with its line. */
export function syntaxFlaws(file: TextFile): string[] {
  const flaws: string[] = []
  const lineOf = (offset: number): number => file.text.slice(0, offset).split('\n').length
  const lines = file.text.trimEnd().split('\n').length
  const linesMax = /^test\/|\.test\.ts$/.test(file.path) ? TEST_LINES_MAX : FILE_LINES_MAX
  if (lines > linesMax) flaws.push(`${file.path}: ${lines} lines, at most ${linesMax}`)
  walk(parse(file), (node, parent) => {
    const flaw = nodeFlaw(node, parent, file.path)
    if (flaw !== undefined) flaws.push(`${file.path}:${lineOf(node.start)}: ${flaw}`)
    if (!FUNCTIONS.includes(node.type) || isSuite(node)) return
    const length = lineOf(node.end) - lineOf(node.start) + 1
    if (length > FUNCTION_LINES_MAX) {
      flaws.push(
        `${file.path}:${lineOf(node.start)}: a function of ${length} lines, at most ${FUNCTION_LINES_MAX}`,
      )
    }
  })
  return flaws
}

const FUNCTIONS = ['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']
const TEST_NAMES = ['test', 'it', 'describe', 'suite', 'context', 'ctx']
const SUITE_NAMES = ['test', 'it', 'describe']
const LEFT_OUT = ['only', 'skip', 'todo', 'fails']

function nodeFlaw(node: SyntaxNode, parent: SyntaxNode | undefined, path: string): string | undefined {
  if (node.type === 'TSAnyKeyword') return 'the type any'
  if (node.type === 'TSNonNullExpression') return 'a non-null assertion'
  if (node.type === 'TSEnumDeclaration') return 'an enum'
  if (readsEnvironment(node, parent) && path.startsWith('src/') && !path.startsWith('src/settings/')) {
    return 'reads the environment, which only src/settings/ does'
  }
  if (node.type === 'MemberExpression' && LEFT_OUT.includes(nameOf(child(node, 'property')))) {
    const name = rootName(node)
    if (TEST_NAMES.includes(name) && !givesReason(node, parent)) {
      return `${name}.${nameOf(child(node, 'property'))} leaves a test out`
    }
  }
  return undefined
}

/** `context.skip(reason)` inside a test: it says in the report what this machine lacks. */
function givesReason(node: SyntaxNode, parent: SyntaxNode | undefined): boolean {
  if (nameOf(child(node, 'property')) !== 'skip' || parent?.type !== 'CallExpression') return false
  const [reason, ...others] = argumentsOf(parent)
  return child(parent, 'callee') === node && reason !== undefined && others.length === 0
}

function argumentsOf(call: SyntaxNode): SyntaxNode[] {
  return Array.isArray(call.arguments) ? (call.arguments as SyntaxNode[]) : []
}

/** `process.env`, or `const { env } = process`. */
function readsEnvironment(node: SyntaxNode, parent: SyntaxNode | undefined): boolean {
  if (node.type === 'MemberExpression') {
    return nameOf(child(node, 'object')) === 'process' && nameOf(child(node, 'property')) === 'env'
  }
  if (node.type !== 'ObjectPattern' || parent === undefined) return false
  const properties = Array.isArray(node.properties) ? (node.properties as SyntaxNode[]) : []
  const takesEnv = properties.some((property) => nameOf(child(property, 'key')) === 'env')
  return takesEnv && nameOf(child(parent, 'init')) === 'process'
}

/** A function that gathers tests; its length says nothing about any function. */
function isSuite(node: SyntaxNode): boolean {
  const body = child(node, 'body')?.body
  return Array.isArray(body) && (body as SyntaxNode[]).some(isTestCall)
}

function isTestCall(statement: SyntaxNode): boolean {
  const call = child(statement, 'expression')
  return call?.type === 'CallExpression' && SUITE_NAMES.includes(rootName(child(call, 'callee')))
}

function rootName(node: SyntaxNode | undefined): string {
  let root = node
  while (root?.type === 'MemberExpression' || root?.type === 'CallExpression') {
    root = child(root, root.type === 'MemberExpression' ? 'object' : 'callee')
  }
  return nameOf(root)
}

function nameOf(node: SyntaxNode | undefined): string {
  if (node?.type === 'Identifier') return String(node.name)
  return node?.type === 'Literal' ? String(node.value) : ''
}
