/**
 * What a container is shown next. A message whose last container died with it open is a suspect: it is shown alone, with nothing
 * beside it and nothing added while it is open, so that one poison message can't spend the tries of its neighbours.
 */
import type { IncarnationNumber, MessageId } from "./Ids.ts"
import { type Message, wakes } from "./Message.ts"
import type { Policy } from "./Policy.ts"

export type AdmissionRow = Pick<
  Message,
  "id" | "state" | "kind" | "trigger" | "onWake" | "suspect" | "admittedIn"
>

export interface AdmissionInput {
  /** Pending, waking and due now; by priority descending, then due time, then seq. */
  readonly due: ReadonlyArray<AdmissionRow>
  /** Open (pending or claimed) and shown to this incarnation already, context rows included. */
  readonly shownOpen: ReadonlyArray<AdmissionRow>
  readonly incarnation: IncarnationNumber
  /** `on_wake` rows are due only then. */
  readonly firstPoll: "yes" | "no"
  /** Whether this runner looks again at a row that it has acked. */
  readonly runnerReoffers: boolean
}

export interface AdmissionPlan {
  readonly admit: ReadonlyArray<MessageId>
  /** Something due waits because a suspect needs the container to itself, or has it. */
  readonly waitingForSolo: boolean
  /** Something due was shown to this incarnation before, and only a fresh one would look at it again. */
  readonly needsFresh: boolean
}

/**
 * Pure admission. A suspect whose turn it is (first in `due`) gets the container as soon as nothing else is open in it, and until
 * then nothing is added, so that it can't starve; behind others it waits for its turn. A row that needs a fresh incarnation
 * holds up nobody, unless it is a suspect whose turn it is.
 */
export const planAdmission = (input: AdmissionInput, policy: Pick<Policy, "maxAdmitted">): AdmissionPlan => {
  const open = input.shownOpen.filter(wakes)
  const shown = new Set(input.shownOpen.map((message) => message.id))
  const waiting = input.due.filter(
    (message) =>
      wakes(message) &&
      message.state === "pending" &&
      !shown.has(message.id) &&
      (!message.onWake || input.firstPoll === "yes"),
  )
  const outOfReach = (message: AdmissionRow): boolean =>
    message.admittedIn === input.incarnation && !input.runnerReoffers
  const needsFresh = waiting.some(outOfReach)
  if (waiting.length > 0 && open.some((message) => message.suspect)) {
    return { admit: [], waitingForSolo: true, needsFresh }
  }
  const turn = waiting.find((message) => message.suspect || !outOfReach(message))
  if (turn?.suspect === true) {
    const alone = open.length === 0 && !outOfReach(turn)
    return { admit: alone ? [turn.id] : [], waitingForSolo: !alone || waiting.length > 1, needsFresh }
  }
  const room = Math.max(0, policy.maxAdmitted - open.length)
  return {
    admit: waiting
      .filter((message) => !message.suspect && !outOfReach(message))
      .slice(0, room)
      .map((message) => message.id),
    waitingForSolo: waiting.some((message) => message.suspect),
    needsFresh,
  }
}
