import { createHmac } from 'node:crypto'
import { TEST_SETTINGS } from './test-server.ts'

/** What the service signs with. */
export const SECRET = TEST_SETTINGS.tokenSecret ?? ''

/** Signs a token by hand, so that it can be as wrong as it likes. */
export function forge(
  claims: object,
  { alg = 'HS256', secret = SECRET }: { alg?: string; secret?: string } = {},
): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part({ alg, typ: 'JWT' })}.${part(claims)}`
  if (alg === 'none') return `${signed}.`
  return `${signed}.${createHmac(alg.replace('HS', 'sha'), secret).update(signed).digest('base64url')}`
}

/** Seconds since the epoch, so many from now. */
export function inS(seconds: number): number {
  return Math.floor(Date.now() / 1_000) + seconds
}

/** A claim that lets its holder read all clicks. */
export const CLICKS = { read: [{ counter: 'clicks' }] }
