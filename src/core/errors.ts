/**
 * Every error that a client can meet: its stable code, HTTP status, whether trying again can help, and
 * what it means. docs/errors.md explains each code; test/tidy.test.ts holds the two together.
 * On the wire an error is a problem document (RFC 9457).
 */
export const ERRORS = {
  // The request's form.
  malformed_json: { status: 400, retryable: false, title: 'The body is not well-formed JSON' },
  invalid_encoding: { status: 400, retryable: false, title: 'The body is not valid UTF-8' },
  duplicate_member: { status: 400, retryable: false, title: 'A JSON object names the same member twice' },
  nesting_too_deep: { status: 400, retryable: false, title: 'The JSON is nested too deeply' },
  empty_body: { status: 400, retryable: false, title: 'The body is empty' },
  invalid_event: { status: 400, retryable: false, title: 'An event is invalid' },
  invalid_cloudevent: { status: 400, retryable: false, title: 'A CloudEvent is invalid' },
  invalid_parameter: { status: 400, retryable: false, title: 'A parameter is invalid' },
  invalid_idempotency_key: { status: 400, retryable: false, title: 'The Idempotency-Key is invalid' },
  position_unknown: { status: 400, retryable: false, title: 'This position was not issued by this store' },
  range_too_wide: {
    status: 400,
    retryable: false,
    title: 'The range has more buckets than one answer may hold',
  },
  too_many_events: { status: 413, retryable: false, title: 'Too many events in one request' },
  body_too_large: { status: 413, retryable: false, title: 'The body is too large' },
  headers_too_large: { status: 431, retryable: false, title: 'The headers are too large' },
  request_timeout: { status: 408, retryable: true, title: 'The request did not arrive in time' },
  bad_request: { status: 400, retryable: false, title: 'The request cannot be understood' },
  unsupported_media_type: { status: 415, retryable: false, title: 'This media type is not supported' },
  unsupported_encoding: { status: 415, retryable: false, title: 'This content encoding is not supported' },
  not_acceptable: { status: 406, retryable: false, title: 'None of the accepted media types can be served' },
  not_found: { status: 404, retryable: false, title: 'There is nothing at this address' },
  method_not_allowed: { status: 405, retryable: false, title: 'This address does not take this method' },
  // What it asks for.
  unknown_counter: { status: 404, retryable: false, title: 'This counter is not declared' },
  counter_takes_no_events: { status: 400, retryable: false, title: 'This counter is not fed by events' },
  no_series: { status: 404, retryable: false, title: 'This counter keeps no series' },
  resolution_expired: { status: 410, retryable: false, title: 'Minutes this old are no longer kept' },
  value_out_of_range: {
    status: 422,
    retryable: false,
    title: 'The value would leave the range of exact numbers',
  },
  idempotency_mismatch: {
    status: 422,
    retryable: false,
    title: 'This Idempotency-Key was used with another body',
  },
  idempotency_in_flight: {
    status: 409,
    retryable: true,
    title: 'A request with this Idempotency-Key is in flight',
  },
  position_not_reached: {
    status: 409,
    retryable: true,
    title: 'The position was not reached within the timeout',
  },
  // Who asks.
  unauthenticated: { status: 401, retryable: false, title: 'A valid key or token is required' },
  forbidden: { status: 403, retryable: false, title: 'This key or token does not allow this' },
  rate_limited: { status: 429, retryable: true, title: 'Too many requests' },
  // The state of the service.
  overloaded: { status: 429, retryable: true, title: 'More events are waiting than may wait' },
  too_many_subscribers: { status: 503, retryable: true, title: 'No further live subscriber can be served' },
  query_timeout: { status: 503, retryable: true, title: 'The query took too long' },
  shutting_down: { status: 503, retryable: true, title: 'The service is stopping' },
  store_full: { status: 507, retryable: true, title: 'The disk of the store is full' },
  store_failed: { status: 503, retryable: true, title: 'The store failed and takes no more writes' },
  internal: { status: 500, retryable: false, title: 'An unexpected error' },
  // Before it serves: met on the command line, never over HTTP.
  store_locked: { status: 503, retryable: false, title: 'Another process has this store open' },
  store_corrupt: { status: 503, retryable: false, title: 'The store file is damaged' },
  store_too_new: { status: 503, retryable: false, title: 'The store was written by a newer version' },
  invalid_settings: { status: 500, retryable: false, title: 'The settings are invalid' },
} as const satisfies Record<string, { status: number; retryable: boolean; title: string }>

export type ErrorCode = keyof typeof ERRORS

/** Where in the input the error stands, and what was expected there. */
export interface ErrorDetail {
  /** JSON Pointer (RFC 6901) into the body, the name of a parameter, or a file and line. */
  readonly at?: string
  /** Index of the offending event in a batch, from 0. */
  readonly index?: number
  readonly expected?: string
  /** What stood there, shortened; never a secret. */
  readonly got?: string
  /** Seconds after which trying again makes sense; sent as Retry-After. */
  readonly retryAfterS?: number
  readonly cause?: unknown
}

/** The only error class that crosses a module's border on purpose. */
export class TallyError extends Error {
  readonly code: ErrorCode
  readonly detail: ErrorDetail

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause })
    this.name = 'TallyError'
    this.code = code
    this.detail = detail
  }

  get status(): number {
    return ERRORS[this.code].status
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable
  }
}

const GOT_CHARS_MAX = 80

/** A value as it may be shown in an error: JSON, cut short. */
export function shown(value: unknown): string {
  let text: string
  try {
    text =
      typeof value === 'string'
        ? JSON.stringify(value.slice(0, GOT_CHARS_MAX + 1))
        : (JSON.stringify(value) ?? String(value))
  } catch {
    text = typeof value
  }
  return text.length > GOT_CHARS_MAX ? `${text.slice(0, GOT_CHARS_MAX)}…` : text
}
