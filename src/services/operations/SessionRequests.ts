/** Requests about sessions: how they stand, and an operator's hand on them. */
import { Effect, Schema } from "effect"
import type { SessionId } from "../../domain/Ids.ts"
import { ContainerRef, ContainerRuntime } from "../ContainerRuntime.ts"
import { Conflict } from "../ledger/Refusals.ts"
import type { Nudge } from "../Nudge.ts"
import { SessionStore } from "../SessionStore.ts"
import { Sweep } from "../Sweep.ts"
import type { InputOf } from "./Contract.ts"
import { existing, pageOf } from "./Lookup.ts"
import type { SessionReport } from "./Requests.ts"

/** Of what a running container wrote, per stream. */
const LIVE_OUTPUT_BYTES = 64 * 1024
/** Lives that a session's report shows. */
const SHOWN_LIVES = 20

export const makeSessionRequests = Effect.fnUntraced(function* (options: { readonly look: Nudge }) {
  const store = yield* SessionStore
  const sweep = yield* Sweep
  const runtime = yield* ContainerRuntime
  const sessionOf = (id: SessionId) =>
    Effect.flatMap(
      store.read((reader) => reader.session(id)),
      existing("session", id),
    )

  return {
    sessions: ({ groupId, status, ...page }: InputOf<"sessions"> = {}) =>
      store.read((reader) => reader.sessions({ groupId, status }, pageOf(page))),
    session: ({ id }: InputOf<"session">) =>
      store
        .read((reader): SessionReport | undefined => {
          const session = reader.session(id)
          if (session === undefined) return undefined
          return { session, incarnations: reader.incarnations(id, { limit: SHOWN_LIVES }) }
        })
        .pipe(Effect.flatMap(existing("session", id))),
    liveOutput: Effect.fnUntraced(function* ({ id }: InputOf<"liveOutput">) {
      const { incarnation } = yield* sessionOf(id)
      const row = yield* store.read((reader) => reader.incarnation(id, incarnation))
      if (row === undefined || row.phase === "ended" || row.handle === null) return null
      const { text } = yield* runtime.output(decodeHandle(row.handle), LIVE_OUTPUT_BYTES)
      return { incarnation: row.number, text }
    }),
    controlSession: Effect.fnUntraced(function* ({ force, id, what }: InputOf<"controlSession">) {
      const session = yield* sessionOf(id)
      if (what === "wake" && session.status !== "active") {
        return yield* new Conflict({
          message: `session '${id}' is ${session.status} (${session.statusReason ?? "no reason given"}) and starts no container; 'lamplighter session release ${id}' ends that`,
        })
      }
      if (what === "hold") yield* store.setStatus(id, "held", "held by an operator")
      if (what === "release") yield* store.setStatus(id, "active", null)
      if (what === "stop" || what === "hold") yield* sweep.stop(id, "an operator asked for it")
      if (what === "wake" && (yield* sweep.wake(id, force === true ? "force" : "within-caps")) === "at-cap") {
        return yield* new Conflict({
          message: `as many containers run as may (maxContainers, or maxContainersPerGroup of group '${session.groupId}'); stop one, or start this one all the same with 'lamplighter session wake ${id} --force'`,
        })
      }
      yield* options.look.ring
      // It is done, also where the session is gone by now.
      return (yield* store.read((reader) => reader.session(id))) ?? session
    }),
  }
})

const decodeHandle = Schema.decodeUnknownSync(Schema.fromJsonString(ContainerRef))
