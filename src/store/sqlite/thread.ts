import { Worker } from 'node:worker_threads'
import { TallyError } from '../../core/errors.ts'
import type { CallAnswer } from './serve-calls.ts'
import { storeError } from './sqlite-errors.ts'

interface Waiting {
  resolve(result: unknown): void
  reject(error: TallyError): void
}

/** Each call's argument and result, by its name. */
type Calls = { [call: string]: [argument: unknown, result: unknown] }

/**
 * A thread that answers calls in their order, seen from the outside. When the thread dies, what waits is
 * rejected with `store_failed`, and so is every later call.
 */
export class Thread<Protocol extends { [Call in keyof Protocol]: Calls[string] }> {
  private readonly worker: Worker
  private readonly waiting: Waiting[] = []
  private dead: TallyError | undefined = undefined
  private readonly exited: Promise<void>

  constructor(script: URL, workerData: unknown) {
    this.worker = new Worker(script, { workerData })
    this.worker.on('message', (answer: CallAnswer) => this.settle(answer))
    this.worker.on('error', (error: Error) => this.die(error.message))
    this.exited = new Promise((resolve) => {
      this.worker.once('exit', () => {
        this.die('its thread ended')
        resolve()
      })
    })
  }

  call<Call extends keyof Protocol>(call: Call, argument: Protocol[Call][0]): Promise<Protocol[Call][1]> {
    return new Promise((resolve, reject) => {
      if (this.dead !== undefined) return reject(this.dead)
      this.waiting.push({ resolve: resolve as (result: unknown) => void, reject })
      this.worker.postMessage({ call, argument })
    })
  }

  /** Ends the thread at once; what waits is rejected. */
  async terminate(): Promise<void> {
    await this.worker.terminate()
    await this.exited
  }

  /** Resolves when the thread has ended by itself. */
  ended(): Promise<void> {
    return this.exited
  }

  private settle(answer: CallAnswer): void {
    const next = this.waiting.shift()
    if (next === undefined) return
    if ('failure' in answer) next.reject(storeError(answer.failure.message, answer.failure.errcode))
    else next.resolve(answer.result)
  }

  private die(reason: string): void {
    this.dead ??= new TallyError(
      'store_failed',
      `The store's thread failed (${reason}). Restart the service.`,
    )
    for (const waiting of this.waiting.splice(0)) waiting.reject(this.dead)
  }
}
