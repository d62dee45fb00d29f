import { parentPort } from 'node:worker_threads'

/** What a thread is asked. */
export interface CallRequest {
  readonly call: string
  readonly argument: unknown
}

/** What it answers, in the order it was asked. */
export type CallAnswer =
  | { readonly result: unknown }
  | { readonly failure: { readonly message: string; readonly errcode: number } }

// A call without a result may be a function without one.
type Answered<Result> = [Result] extends [undefined] ? unknown : Result

/** Inside a thread: answers each call with the function of its name; `close` ends the thread. */
export function serveCalls<Protocol extends { [Call in keyof Protocol]: [unknown, unknown] }>(
  calls: {
    [Call in keyof Protocol]: (argument: Protocol[Call][0]) => Answered<Protocol[Call][1]>
  },
): void {
  const port = parentPort
  port?.on('message', (request: CallRequest) => {
    const call = calls[request.call as keyof Protocol] as (argument: unknown) => unknown
    let answer: CallAnswer
    try {
      answer = { result: call(request.argument) }
    } catch (error) {
      const errcode = error instanceof Error && 'errcode' in error ? Number(error.errcode) : 0
      answer = { failure: { message: error instanceof Error ? error.message : String(error), errcode } }
    }
    port.postMessage(answer)
    if (request.call === 'close') port.close()
  })
}
