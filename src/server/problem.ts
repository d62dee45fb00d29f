import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import type { ErrorCode, ErrorDetail } from '../core/errors.ts'
import { ERRORS, shown, TallyError } from '../core/errors.ts'

export const PROBLEM_TYPE = 'application/problem+json'

/** An error as it goes over the wire: a problem document (RFC 9457) with the members of `ErrorDetail`. */
export interface Problem {
  /** Where the code is explained, relative to the service. */
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: ErrorCode
  readonly detail: string
  readonly at?: string
  readonly index?: number
  readonly expected?: string
  readonly got?: string
}

/** JSON Schema of `Problem`, for the OpenAPI document. */
export const PROBLEM_SCHEMA = {
  type: 'object',
  required: ['type', 'title', 'status', 'code', 'detail'],
  properties: {
    type: { type: 'string', description: 'Where the code is explained' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string', enum: Object.keys(ERRORS), description: 'Stable; programs compare this' },
    detail: { type: 'string' },
    at: { type: 'string', description: 'JSON Pointer into the body, or the name of a parameter or header' },
    index: { type: 'integer', description: 'Index of the offending event in a batch, from 0' },
    expected: { type: 'string' },
    got: { type: 'string', description: 'What stood there, shortened' },
  },
} as const

export function toProblem(error: TallyError): Problem {
  const { at, index, expected, got } = error.detail
  return {
    type: `/docs/errors#${error.code}`,
    title: ERRORS[error.code].title,
    status: error.status,
    code: error.code,
    detail: error.message,
    ...(at === undefined ? {} : { at }),
    ...(index === undefined ? {} : { index }),
    ...(expected === undefined ? {} : { expected }),
    ...(got === undefined ? {} : { got }),
  }
}

/** The headers an error brings with it, beside the content type. */
export function problemHeaders(error: TallyError): Record<string, string> {
  const headers: Record<string, string> = {}
  // Each of these will pass; a client without a hint would try again at once.
  if (error.status === 429 || error.status === 503) {
    headers['retry-after'] = String(error.detail.retryAfterS ?? 1)
  }
  if (error.code === 'unauthenticated') headers['www-authenticate'] = 'Bearer realm="tally"' // RFC 6750
  return headers
}

/** Answers with the problem; for handlers that end with an error without throwing it. */
export function sendProblem(reply: FastifyReply, error: TallyError): void {
  reply
    .code(error.status)
    .headers(problemHeaders(error))
    .header('content-type', PROBLEM_TYPE)
    .header('cache-control', 'no-store')
    // As bytes, or the framework would add a charset, which this media type does not know.
    .send(Buffer.from(JSON.stringify(toProblem(error))))
}

/**
 * Whatever was thrown, as the error the client sees. Errors of the framework get a documented code;
 * everything unforeseen becomes `internal` and says nothing about its inside.
 */
export function toTallyError(error: unknown, request: FastifyRequest): TallyError {
  if (error instanceof TallyError) return error
  if (isFastifyError(error)) {
    if (error.validation !== undefined) return invalidParameter(error, request)
    const known = FRAMEWORK_CODES[error.code]
    if (known !== undefined)
      return new TallyError(known.code, known.message, { ...known.detail, cause: error })
    if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
      return new TallyError('bad_request', 'The request cannot be understood', { cause: error })
    }
  }
  return new TallyError('internal', 'The service met an error it did not expect; its log has the details', {
    cause: error,
  })
}

const FRAMEWORK_CODES: Readonly<
  Record<string, { code: ErrorCode; message: string; detail?: ErrorDetail } | undefined>
> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    code: 'unsupported_media_type',
    message: 'This route does not take bodies of this type',
    detail: { at: 'Content-Type' },
  },
  FST_ERR_CTP_BODY_TOO_LARGE: { code: 'body_too_large', message: 'The body is larger than this route takes' },
  FST_ERR_CTP_EMPTY_JSON_BODY: { code: 'empty_body', message: 'The body is empty but said to be JSON' },
  FST_ERR_CTP_INVALID_JSON_BODY: { code: 'malformed_json', message: 'The body is not well-formed JSON' },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: {
    code: 'bad_request',
    message: 'The body has another length than Content-Length says',
    detail: { at: 'Content-Length' },
  },
  FST_ERR_BAD_URL: {
    code: 'bad_request',
    message: 'The path is not a valid URL component',
    detail: { expected: 'percent-encoded UTF-8' },
  },
}

function isFastifyError(error: unknown): error is FastifyError {
  return error instanceof Error && 'code' in error
}

/** The first complaint of the schema validator, told in the terms of the request. */
function invalidParameter(error: FastifyError, request: FastifyRequest): TallyError {
  const complaint = error.validation?.[0]
  const context = error.validationContext ?? 'body'
  if (complaint === undefined) return new TallyError('invalid_parameter', error.message)
  const { keyword, params, instancePath } = complaint
  let pointer = instancePath
  let expected = complaint.message ?? 'a valid value'
  if (keyword === 'required') pointer += `/${String(params.missingProperty)}`
  if (keyword === 'additionalProperties') {
    pointer += `/${String(params.additionalProperty)}`
    expected = 'no parameter of this name'
  }
  if (keyword === 'enum' && Array.isArray(params.allowedValues)) {
    expected = `one of ${params.allowedValues.join(', ')}`
  }
  // In the body a place is a JSON Pointer; a parameter is known by its name.
  const at = context === 'body' ? pointer : pointer.slice(1)
  const got = valueAt(partOf(request, context), pointer)
  return new TallyError('invalid_parameter', `${at === '' ? `The ${context}` : at} is invalid`, {
    at,
    expected,
    ...(got === undefined ? {} : { got: shown(got) }),
  })
}

function partOf(request: FastifyRequest, context: string): unknown {
  if (context === 'querystring') return request.query
  if (context === 'params') return request.params
  if (context === 'headers') return request.headers
  return request.body
}

/** RFC 6901. */
function valueAt(value: unknown, pointer: string): unknown {
  let found = value
  for (const step of pointer.split('/').slice(1)) {
    if (typeof found !== 'object' || found === null) return undefined
    const name = step.replaceAll('~1', '/').replaceAll('~0', '~')
    found = Object.hasOwn(found, name) ? Reflect.get(found, name) : undefined
  }
  return found
}
