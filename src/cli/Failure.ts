/** A failure in the words of whoever typed the command: what went wrong, and what would help. */
import { Predicate } from "effect"
import type { Unanswered, UnexpectedAnswer } from "../layers/http/SocketClient.ts"

/** Whether nobody took the request, or nobody answered it: the daemon is gone, or on its way out. */
export const isUnanswered = (error: unknown): error is Unanswered => Predicate.isTagged(error, "Unanswered")

/** By their tags, so that a command that asks no daemon does not load the client. */
const isUnexpected = (error: unknown): error is UnexpectedAnswer =>
  Predicate.isTagged(error, "UnexpectedAnswer")

export const explain = (error: unknown): string => {
  if (isUnanswered(error)) {
    return `the daemon went away before it answered (${error.message}); 'lamplighter status' tells whether it runs, and what it had accepted is kept`
  }
  if (isUnexpected(error)) {
    return `what answers on the daemon's socket is no daemon of this version (${error.message}); stop it, and start the one of this version`
  }
  return error instanceof Error ? error.message : String(error)
}
