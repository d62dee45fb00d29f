import type { FastifyRequest } from 'fastify'
import { shown, TallyError } from '../core/errors.ts'
import { QUERY_BODY_BYTES_MAX } from '../core/limits.ts'
import { readBody } from '../server/body.ts'

export interface StatsBody {
  readonly tsFrom?: string
  readonly tsTo?: string
}

const MEMBERS = ['tsFrom', 'tsTo']

/**
 * Reads the JSON body of `GET /stats/{bannerId}`, which the framework leaves alone on a GET; its Content-Type
 * is not looked at. Calls `done` once, with `malformed_json`, `invalid_encoding`, `duplicate_member`,
 * `invalid_parameter` or an error of readBody. An empty body says nothing.
 */
export function readStatsBody(
  request: FastifyRequest,
  done: (error: TallyError | undefined, body?: StatsBody) => void,
): void {
  const { headers } = request.raw
  const options = {
    encoding: headers['content-encoding'],
    contentLength: headers['content-length'],
    limitBytes: QUERY_BODY_BYTES_MAX,
  }
  readBody(request.raw, options, (error, bytes) => {
    if (error !== null || bytes === undefined) {
      done(error ?? new TallyError('internal', 'No body was read'))
      return
    }
    let body: StatsBody
    try {
      body = parse(bytes, request.query)
    } catch (thrown) {
      done(
        thrown instanceof TallyError ? thrown : new TallyError('internal', 'Unexpected', { cause: thrown }),
      )
      return
    }
    done(undefined, body)
  })
}

function parse(bytes: Buffer, query: unknown): StatsBody {
  if (bytes.length === 0) return {}
  const text = decode(bytes)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new TallyError('malformed_json', 'The body is not well-formed JSON', { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TallyError('invalid_parameter', 'The body is not an object', {
      at: '',
      expected: 'an object with tsFrom and tsTo',
      got: shown(value),
    })
  }
  const members = Object.entries(value)
  for (const [name, instant] of members) assertMember(name, instant, query)
  // All members are texts, so each stands for two string tokens; more of them are members named twice.
  const tokens = text.match(/"(?:[^"\\]|\\.)*"/g)?.length ?? 0
  if (tokens !== members.length * 2) {
    throw new TallyError('duplicate_member', 'A member is named twice', {
      at: '',
      expected: 'each name once',
    })
  }
  return Object.fromEntries(members)
}

function assertMember(name: string, value: unknown, query: unknown): void {
  const at = `/${name.slice(0, 80).replaceAll('~', '~0').replaceAll('/', '~1')}`
  if (!MEMBERS.includes(name)) {
    throw new TallyError('invalid_parameter', 'There is no such member here', {
      at,
      expected: `one of ${MEMBERS.join(', ')}`,
    })
  }
  if (typeof value !== 'string') {
    throw new TallyError('invalid_parameter', `${name} is not an instant`, {
      at,
      expected: 'a date-time of RFC 3339 as text',
      got: shown(value),
    })
  }
  if (typeof query === 'object' && query !== null && name in query) {
    throw new TallyError('invalid_parameter', `${name} stands in the query and in the body`, {
      at,
      expected: 'it in one place',
    })
  }
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new TallyError('invalid_encoding', 'The body is not valid UTF-8', { cause })
  }
}
