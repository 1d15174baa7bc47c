/** Brings inbound.db to the ledger's revision, so that a container sees what is due to it now. */
import { Effect } from "effect"
import { crashable } from "../CrashPoint.ts"
import { Mailbox, type Pair } from "../Mailbox.ts"
import { SessionStore } from "../SessionStore.ts"

/** `from`: the revision that the file stands at; null: unknown. Returns the one that it stands at now. */
export const project = Effect.fnUntraced(function* (pair: Pair, from: number | null) {
  const store = yield* SessionStore
  const mailbox = yield* Mailbox
  const standsAt = from ?? (yield* mailbox.revision(pair))
  const projection = yield* store.projection(pair.sessionId, pair.incarnation, standsAt)
  if (projection === undefined) return standsAt
  yield* mailbox.project(pair, projection).pipe(crashable("mailbox.project"))
  return projection.revision
})
