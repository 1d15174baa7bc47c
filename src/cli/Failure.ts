/** A failure in the words of whoever typed the command: what went wrong, and what would help. */
import { Schema } from "effect"
import { HttpClientError } from "effect/http"

/** Whether nobody took the request, or nobody answered it: the daemon is gone, or on its way out. */
export const isUnanswered = (error: unknown): boolean =>
  HttpClientError.isHttpClientError(error) && error.reason._tag === "TransportError"

export const explain = (error: unknown): string => {
  if (isUnanswered(error)) {
    return `the daemon went away before it answered (${rootOf(error)}); 'status' tells whether it runs, and what it had accepted is kept`
  }
  if (HttpClientError.isHttpClientError(error) || Schema.isSchemaError(error)) {
    return `what answers on the daemon's socket is no daemon of this version (${error.message}); stop it, and start the one of this version`
  }
  return error instanceof Error ? error.message : String(error)
}

/** The innermost cause: the one that the operating system gave. */
const rootOf = (error: unknown): string => {
  let innermost = error
  for (let depth = 0; depth < 10; depth++) {
    if (!(innermost instanceof Error) || innermost.cause === undefined) break
    innermost = innermost.cause
  }
  return innermost instanceof Error ? innermost.message : String(innermost)
}
