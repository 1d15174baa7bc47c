/**
 * What a scripted agent can do, as the real runner does it: look for work, claim it, answer it, give it back, show progress.
 * It acts through the container's side of the mailbox and on the model's clock.
 */
import { Clock, Deferred, Effect } from "effect"
import { OutboundId } from "../../domain/Ids.ts"
import type { Pair } from "../../services/Mailbox.ts"
import { ContainerSide, type InboundRow } from "./MemoryMailbox.ts"
import type { AgentProcess } from "./SimulatedEngine.ts"

export const DOORBELL = "::lamplighter::doorbell"

/** How many waking rows the runner takes into one turn. */
const MAX_BATCH = 10

export interface AgentWorld {
  readonly pair: Pair
  /** 1 for the session's first launch, 2 for its second… */
  readonly launch: number
  /** Completed by the first SIGTERM. */
  readonly sigterm: Deferred.Deferred<void>
  readonly now: Effect.Effect<number>
  /** Sleeps, but not through a SIGTERM. */
  readonly sleep: (ms: number) => Effect.Effect<"slept" | "sigterm">
  /**
   * The next turn's rows, oldest first, or none: due rows that this container has not acked (or that were tried again since),
   * a task alone, chats together, context along with either. `on_wake` rows count from the first poll only.
   */
  readonly poll: Effect.Effect<ReadonlyArray<InboundRow>>
  readonly claim: (batch: ReadonlyArray<InboundRow>) => Effect.Effect<void>
  /** Deletes the claims: nothing was done. */
  readonly release: (batch: ReadonlyArray<InboundRow>) => Effect.Effect<void>
  /** Writes one answer, acks the whole batch as completed, and rings. */
  readonly answer: (batch: ReadonlyArray<InboundRow>, text: string) => Effect.Effect<void>
  /** Acks the whole batch as failed, and rings. */
  readonly fail: (
    batch: ReadonlyArray<InboundRow>,
    failure: { readonly retryable: boolean; readonly error: string },
  ) => Effect.Effect<void>
  readonly beat: Effect.Effect<void>
  /** Declares the tool in flight, with a beat at its start and, by `null`, at its end. */
  readonly tool: (
    tool: { readonly name: string; readonly declaredMs: number | null } | null,
  ) => Effect.Effect<void>
  readonly doorbell: Effect.Effect<void>
}
