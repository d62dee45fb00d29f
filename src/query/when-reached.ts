import type { FastifyReply, FastifyRequest } from 'fastify'
import { WAIT_TIMEOUT_MS_DEFAULT } from '../core/limits.ts'
import { readTimeout } from './parameters.ts'
import type { PositionWaiters } from './position-waiters.ts'

/** Parameters of every route that can wait for a write. */
export interface WaitParameters {
  readonly wait?: string
  readonly timeout?: string
}

/**
 * Runs `read` when the position that the request waits for is reached, at once if it waits for none; its
 * errors, and those of waiting, become the answer. Throws `invalid_parameter` and `position_unknown`.
 */
export type WhenReached = (
  request: FastifyRequest,
  reply: FastifyReply,
  options: { parameters: WaitParameters; read: () => Promise<unknown> },
) => void

export function createWhenReached(waiters: PositionWaiters): WhenReached {
  return (request, reply, { parameters, read }) => {
    const run = () => {
      read().catch((error: unknown) => reply.send(error))
    }
    const { wait, timeout } = parameters
    const timeoutMs = timeout === undefined ? WAIT_TIMEOUT_MS_DEFAULT : readTimeout(timeout)
    if (wait === undefined) {
      run()
      return
    }
    const cancel = waiters.wait(wait, timeoutMs, (error) => {
      request.raw.socket.removeListener('close', cancelled)
      if (error === undefined) run()
      else reply.send(error)
    })
    // A client that has gone must not hold a place.
    function cancelled(): void {
      cancel()
    }
    request.raw.socket.once('close', cancelled)
  }
}
