/**
 * Waits for a message's end, bounded, and says meanwhile what there is to say: each answer as it arrives, and why nothing moves while
 * nothing does. A daemon that goes away and comes back is waited for; the message is in its ledger.
 */
import { Clock, Effect } from "effect"
import type { MessageId } from "../domain/Ids.ts"
import { isTerminal } from "../domain/Message.ts"
import type { MessageReport } from "../services/operations/Requests.ts"
import { isUnanswered } from "./Failure.ts"
import { refusal } from "./Root.ts"

const LOOK_EVERY_MS = 100
/** The rows of a container's last look arrive within its poll interval. */
const LAST_LOOK_MS = 1_000

/** The report of the look after the end. Fails when the time is up. */
export const waitForEnd = Effect.fnUntraced(function* <E, R>(wait: {
  readonly id: MessageId
  readonly timeoutMs: number
  readonly look: Effect.Effect<MessageReport, E, R>
  /** Called with each look's report, and once more after the message's end. */
  readonly looked: (report: MessageReport) => Effect.Effect<void>
  /** Why the message waits; called when the reason changes. */
  readonly waiting: (why: string) => Effect.Effect<void>
}) {
  const { id } = wait
  const deadline = (yield* Clock.currentTimeMillis) + wait.timeoutMs
  const look = wait.look.pipe(Effect.catchIf(isUnanswered, () => Effect.succeed("away" as const)))
  let state = "accepted"
  let told: string | null = null
  while (true) {
    const report = yield* look
    if (report !== "away") {
      yield* wait.looked(report)
      state = report.message.state
      if (isTerminal(report.message.state)) break
    }
    const why = report === "away" ? "the daemon does not answer" : obstacle(report)
    if (why !== null && why !== told) yield* wait.waiting(why)
    told = why
    if ((yield* Clock.currentTimeMillis) >= deadline) {
      return yield* refusal(
        `message ${id} is still ${state} after ${wait.timeoutMs} ms${why === null ? "" : ` (${why})`}; it stays in the ledger: 'lamplighter messages show ${id}' tells how it goes on`,
      )
    }
    yield* Effect.sleep(LOOK_EVERY_MS)
  }
  yield* Effect.sleep(LAST_LOOK_MS)
  const last = yield* wait.look
  yield* wait.looked(last)
  return last
})

const obstacle = ({ message, sessionStatus, statusReason, wakeError }: MessageReport): string | null => {
  if (sessionStatus !== "active") {
    return `its session is ${sessionStatus} (${statusReason ?? "no reason given"}); 'lamplighter session release ${message.sessionId}' ends that`
  }
  return wakeError === null ? null : `its session can't start a container: ${wakeError}`
}
