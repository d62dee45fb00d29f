import { TallyError } from '../core/errors.ts'
import { problemLine } from '../settings/problem.ts'
import {
  type ClientSettings,
  checkSettings,
  type SettingSources,
  type Settings,
} from '../settings/settings.ts'
import { type Api, type ApiRequest, targetOf } from './api.ts'
import { CommandError, EXIT } from './exit.ts'
import type { Terminal } from './terminal.ts'

/** The settings and client settings of a command. Throws `invalid_settings` with all problems. */
export function commandSettings(sources: SettingSources): { settings: Settings; client: ClientSettings } {
  const { settings, client, problems } = checkSettings(sources)
  if (settings === undefined) throw new TallyError('invalid_settings', problems.map(problemLine).join('\n'))
  return { settings, client }
}

/**
 * Opens the way to the counts, the same for every command: the server that `--url` names; else the store
 * itself, in this process; else, where a server has the store open, that server. The caller closes it.
 */
export async function openApi(sources: SettingSources, terminal: Terminal): Promise<Api> {
  const { settings, client } = commandSettings(sources)
  if (client.url !== undefined) return overHttp(client.url, client.apiKey)
  try {
    return await inProcess(settings)
  } catch (error) {
    const url = runningAt(error)
    if (url === undefined) throw error
    terminal.note(`The store is open in a running service; asking it at ${url}`)
    return overHttp(url, client.apiKey)
  }
}

/** Where the process that holds the store serves, if that is why the store could not be opened. */
export function runningAt(error: unknown): string | undefined {
  return error instanceof TallyError && error.code === 'store_locked' ? error.detail.at : undefined
}

/** The API of a server, over HTTP. */
export function overHttp(url: string, apiKey: string | undefined): Api {
  return {
    url,
    async request(request) {
      const headers = headersOf(request)
      if (apiKey !== undefined) headers.authorization = `Bearer ${apiKey}`
      try {
        const { method, body } = request
        const init = { method, headers, ...(body === undefined ? {} : { body }) }
        const response = await fetch(`${url}${targetOf(request)}`, init)
        return {
          status: response.status,
          text: await response.text(),
          ...retryAfter(response.headers.get('retry-after')),
        }
      } catch (error) {
        throw new CommandError(EXIT.unreachable, `${url} can't be reached: ${causeOf(error)}`, {
          cause: error,
        })
      }
    },
    close: async () => undefined,
  }
}

/** The API of a service that listens nowhere. Whoever can open the store's file needs no key. */
async function inProcess(settings: Settings): Promise<Api> {
  const { composeService } = await import('../compose.ts')
  const service = await composeService({
    ...settings,
    auth: 'none',
    rateLimitPerSecond: 0,
    logLevel: 'error',
  })
  return {
    url: undefined,
    async request(request) {
      const { method, body } = request
      const answer = await service.app.inject({
        method,
        url: targetOf(request),
        headers: headersOf(request),
        ...(body === undefined ? {} : { payload: body }),
      })
      return {
        status: answer.statusCode,
        text: answer.payload,
        ...retryAfter(answer.headers['retry-after']),
      }
    },
    close: () => service.stop(),
  }
}

function headersOf({ accept, body, contentType = 'application/json' }: ApiRequest): Record<string, string> {
  return {
    ...(accept === undefined ? {} : { accept }),
    ...(body === undefined ? {} : { 'content-type': contentType }),
  }
}

function retryAfter(header: unknown): { retryAfterS?: number } {
  const retryAfterS = Number(header ?? Number.NaN)
  return Number.isFinite(retryAfterS) ? { retryAfterS } : {}
}

/** The fetch standard hides why a connection failed in the cause. */
function causeOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error
  if (cause instanceof AggregateError && cause.errors.length > 0) return causeOf(cause.errors[0])
  return cause instanceof Error ? cause.message : String(cause)
}
