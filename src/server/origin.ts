import { isIPv4 } from 'node:net'
import { shown, TallyError } from '../core/errors.ts'

/** Whether a host or address can be reached from this machine only. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase()
  if (name === 'localhost' || name.endsWith('.localhost') || name === '::1' || name === '[::1]') return true
  return isIPv4(name) && name.startsWith('127.')
}

/**
 * Whether callers need a key: on every host but a loopback one, and on that one too behind a proxy, through
 * which anyone may come; unless the settings say `auth: none`.
 */
export function keysRequired(settings: {
  readonly host: string
  readonly auth: 'auto' | 'none'
  readonly trustProxy: boolean
}): boolean {
  return settings.auth === 'auto' && (settings.trustProxy || !isLoopback(settings.host))
}

/** What of a request says where it was sent from and to. */
export interface Provenance {
  readonly method: string
  readonly host: string | undefined
  readonly origin: string | undefined
  readonly upgrade: string | undefined
}

export interface OriginGuardOptions {
  /** Origins that may send from a browser; `*` stands for all. */
  readonly allowedOrigins: readonly string[]
  /** Refuse requests that were addressed to another name than this machine's loopback names. */
  readonly loopbackHostOnly: boolean
}

/**
 * Guards a service that asks for no key against pages in the user's own browser, which can reach what
 * listens on a loopback address: a page may post to it from any site, and by DNS rebinding may even make
 * itself the same origin. Such a page can fake neither its Origin nor the Host it was told to ask.
 * Returns the error to refuse with, or undefined.
 */
export function createOriginGuard(
  options: OriginGuardOptions,
): (request: Provenance) => TallyError | undefined {
  const allowed = new Set(options.allowedOrigins)
  const anyOrigin = allowed.has('*')
  // Nearly all requests name the host that the last one named.
  let hostSeen: string | undefined

  return ({ method, host, origin, upgrade }) => {
    if (options.loopbackHostOnly && host !== undefined && host !== hostSeen) {
      if (!isLoopback(nameOf(host))) return foreignHost(host)
      hostSeen = host
    }
    if (origin === undefined || anyOrigin || allowed.has(origin)) return undefined
    // Reading is guarded by the browser itself, which shows no answer without CORS; a WebSocket is not.
    if ((method === 'GET' || method === 'HEAD' || method === 'OPTIONS') && upgrade === undefined) {
      return undefined
    }
    return hostOf(origin) === host?.toLowerCase() ? undefined : foreignOrigin(origin)
  }
}

function nameOf(host: string): string {
  const end = host.startsWith('[') ? host.indexOf(']') + 1 : host.indexOf(':')
  return end > 0 ? host.slice(0, end) : host
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined
}

function foreignHost(host: string): TallyError {
  return new TallyError(
    'forbidden',
    'Without keys this service answers on loopback names only, since a web page could point its own name here',
    { at: 'Host', expected: 'localhost or a loopback address', got: shown(host) },
  )
}

function foreignOrigin(origin: string): TallyError {
  return new TallyError('forbidden', 'Pages of this origin may not send to this service', {
    at: 'Origin',
    expected: 'the service itself, or one of the setting corsOrigins',
    got: shown(origin),
  })
}
