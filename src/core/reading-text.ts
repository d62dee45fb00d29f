import type { Reading } from './reading.ts'
import { formatInstant } from './rfc3339.ts'

/**
 * A reading as every route answers it: `{"counter","key","value","version","position","asOf"}`. Put together
 * by hand, since readings are asked for more often than anything else; only what a client named is escaped.
 */
export function readingText({ counter, key, value, version, position, asOfMs }: Reading): string {
  return `{"counter":${JSON.stringify(counter)},"key":${JSON.stringify(key)},"value":${value},"version":${version},"position":${JSON.stringify(position)},"asOf":"${formatInstant(asOfMs)}"}`
}
