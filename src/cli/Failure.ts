/** A failure in the words of whoever typed the command: what went wrong, and what would help. */
import { Predicate } from "effect"
import type { Unanswered } from "../layers/http/SocketClient.ts"
import { messageOf } from "./Root.ts"

/** Whether nobody took the request, or nobody answered it: the daemon is gone, or on its way out. By the tag, so that a command that asks no daemon does not load the client. */
export const isUnanswered = (error: unknown): error is Unanswered => Predicate.isTagged(error, "Unanswered")

export const explain = (error: unknown): string => {
  const said = messageOf(error)
  if (isUnanswered(error))
    return `the daemon went away before it answered (${said}); 'lamplighter status' tells whether it runs, and what it had accepted is kept`
  if (Predicate.isTagged(error, "UnexpectedAnswer"))
    return `what answers on the daemon's socket is no daemon of this version (${said}); stop it, and start the one of this version`
  return Predicate.isTagged(error, "ConfigurationError") ? said.replaceAll("\n", "; ") : said
}
