import { shown, TallyError } from '../core/errors.ts'

export type AnswerType = 'json' | 'csv'

const MEDIA: Readonly<Record<AnswerType, string>> = { json: 'application/json', csv: 'text/csv' }

/**
 * What an Accept header (RFC 9110 section 12.5.1) prefers of JSON and CSV; JSON where both are as welcome.
 * Throws `not_acceptable`.
 */
export function acceptedType(accept: string | undefined): AnswerType {
  if (accept === undefined || accept === '' || accept === '*/*') return 'json'
  const json = quality(accept, MEDIA.json)
  const csv = quality(accept, MEDIA.csv)
  if (json === 0 && csv === 0) {
    throw new TallyError('not_acceptable', 'None of the accepted media types can be served', {
      at: 'Accept',
      expected: `${MEDIA.json} or ${MEDIA.csv}`,
      got: shown(accept),
    })
  }
  return csv > json ? 'csv' : 'json'
}

/** The weight of the most specific range that matches. */
function quality(accept: string, media: string): number {
  let found = 0
  let precision = -1
  for (const part of accept.toLowerCase().split(',')) {
    const [range = '', ...parameters] = part.split(';').map((piece) => piece.trim())
    const matched = [`*/*`, `${media.split('/')[0]}/*`, media].indexOf(range)
    if (matched <= precision) continue
    precision = matched
    const weight = parameters.find((parameter) => parameter.startsWith('q='))
    found = weight === undefined ? 1 : Number(weight.slice(2)) || 0
  }
  return found
}
