import { CommandError, EXIT, type ExitCode, exitCodeOf } from './exit.ts'

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Path with its segments encoded. */
  readonly path: string
  /** Entries that are undefined are left out; a list gives its parameter once for each. */
  readonly query?: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body?: string
  readonly contentType?: string
  readonly accept?: string
}

export interface ApiAnswer {
  readonly status: number
  readonly text: string
  /** Seconds of the Retry-After header. */
  readonly retryAfterS?: number
}

/** The HTTP API of a service, over the network or within this process. */
export interface Api {
  /** Its URL, or undefined if the store is open in this process. */
  readonly url: string | undefined
  /** Rejects with a CommandError of `unreachable` if no answer came. */
  request(request: ApiRequest): Promise<ApiAnswer>
  close(): Promise<void>
}

/** A problem document (RFC 9457), as far as the commands use it. */
export interface Problem {
  readonly code: string
  readonly title?: string
  readonly detail?: string
  readonly at?: string
  readonly index?: number
  readonly expected?: string
  readonly got?: string
}

/** An answer that was not a success. */
export class ApiError extends CommandError {
  readonly status: number
  readonly code: string
  readonly problem: Problem

  constructor(answer: ApiAnswer) {
    const problem = problemOf(answer)
    super(exitCodeOfAnswer(answer.status, problem.code), sentence(answer.status, problem))
    this.status = answer.status
    this.code = problem.code
    this.problem = problem
  }
}

/** Asks and reads the JSON of a success. Throws ApiError for any other answer. */
export async function askJson(api: Api, request: ApiRequest): Promise<unknown> {
  const answer = await api.request({ accept: 'application/json', ...request })
  if (answer.status < 200 || answer.status > 299) throw new ApiError(answer)
  if (answer.text === '') return undefined
  try {
    return JSON.parse(answer.text)
  } catch (cause) {
    const where = api.url === undefined ? '' : ` at ${api.url}`
    throw new CommandError(EXIT.failed, `what answers${where} is not a Tally service`, { cause })
  }
}

/** Encodes the segments of a path. */
export function pathOf(...segments: readonly string[]): string {
  return `/${segments.map(encodeURIComponent).join('/')}`
}

/** The path and query of a request. */
export function targetOf({ path, query = {} }: ApiRequest): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    for (const one of typeof value === 'string' ? [value] : (value ?? [])) parameters.append(name, one)
  }
  return parameters.size === 0 ? path : `${path}?${parameters}`
}

function problemOf({ text }: ApiAnswer): Problem {
  try {
    const parsed: unknown = JSON.parse(text)
    if (typeof parsed === 'object' && parsed !== null && 'code' in parsed) return parsed as Problem
  } catch {
    // Not a problem document: something else than a Tally service answered.
  }
  return { code: 'unknown', detail: text.slice(0, 200) }
}

function exitCodeOfAnswer(status: number, code: string): ExitCode {
  if (status === 404) return EXIT.notFound
  return exitCodeOf(code)
}

function sentence(status: number, problem: Problem): string {
  const { title, detail, at, expected, got, code } = problem
  const said = detail === undefined || detail === '' ? title : detail
  const extras = [
    at === undefined ? '' : `at ${at}`,
    expected === undefined ? '' : `expected ${expected}`,
    got === undefined ? '' : `got ${got}`,
  ].filter((part) => part !== '')
  const where = extras.length === 0 ? '' : ` (${extras.join(', ')})`
  const help = status === 401 ? ' Give a key in TALLY_API_KEY, or in a file named by --api-key-file.' : ''
  return `${said ?? 'no explanation'}${where} [${status} ${code}]${help}`
}
