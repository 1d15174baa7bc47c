/**
 * What a scripted agent can do, as the real runner does it: look for work, claim it, answer it, give it back, show progress.
 * It acts through the container's side of the mailbox and on the model's clock.
 */
import { Clock, Deferred, Effect } from "effect"
import { OutboundId } from "../../domain/Ids.ts"
import { DOORBELL } from "../../services/ContainerRuntime.ts"
import type { Pair } from "../../services/Mailbox.ts"
import { ContainerSide, type InboundRow } from "./MemoryMailbox.ts"
import type { AgentProcess } from "./SimulatedEngine.ts"

/** How many waking rows, and how many context rows, the runner takes into one turn. */
const MAX_BATCH = 10
const MAX_CONTEXT = 100

/** A commit takes a moment: the next heartbeat comes after the claim, never in the same instant. */
const COMMIT_MS = 1

export type AgentWorld = Effect.Success<ReturnType<typeof makeAgentWorld>>

type Batch = ReadonlyArray<InboundRow>

const isContext = (row: InboundRow): boolean => !row.trigger || row.kind === "system"

const sameAddress = (one: InboundRow, other: InboundRow): boolean =>
  one.channelType === other.channelType &&
  one.platformId === other.platformId &&
  one.threadId === other.threadId

const chooseBatch = (open: Batch): Batch => {
  const waiting = open.filter((row) => !isContext(row))
  const [first] = waiting
  if (first === undefined) return []
  const together =
    first.kind === "task"
      ? [first]
      : waiting.filter((row) => row.kind !== "task" && sameAddress(first, row)).slice(0, MAX_BATCH)
  return [...together, ...open.filter(isContext).slice(0, MAX_CONTEXT)].sort(
    (one, other) => one.seq - other.seq,
  )
}

/** What answers a batch: the row, and what each ack says. Who are answered together name the first of them. */
const answerOf = (batch: Batch, id: string, text: string) => {
  const [asked = null, ...others] = batch.filter((row) => !isContext(row))
  const detail = { retryable: true, error: null, result: text.slice(0, 500) }
  const together = asked !== null && others.length > 0 ? { ...detail, turn: asked.id } : detail
  return {
    row: {
      id: OutboundId.make(id),
      content: JSON.stringify({ text }),
      inReplyTo: asked?.id ?? null,
      channelType: asked?.channelType ?? null,
      platformId: asked?.platformId ?? null,
      threadId: asked?.threadId ?? null,
    },
    detailOf: (row: InboundRow) => (isContext(row) ? detail : together),
  }
}

/** As one transaction: nobody sees, and no kill leaves, a part of it. */
const commit = (writes: ReadonlyArray<Effect.Effect<void>>): Effect.Effect<void> =>
  Effect.sync(() => Effect.runSync(Effect.all(writes, { discard: true })))

const sleepUnless = (sigterm: Deferred.Deferred<void>, ms: number): Effect.Effect<"slept" | "sigterm"> =>
  Effect.raceFirst(Effect.sleep(ms), Deferred.await(sigterm)).pipe(
    Effect.map(() => (Deferred.isDoneUnsafe(sigterm) ? "sigterm" : "slept")),
  )

/**
 * The next turn's rows, oldest first, or none: due rows that this container has not acked (or that were tried again since),
 * a task alone, chats together, context along with either. `on_wake` rows count from the first poll only.
 */
const polling = (side: ContainerSide["Service"], pair: Pair, acked: ReadonlyMap<string, number>) => {
  let wakeIds: ReadonlySet<string> | undefined
  return Effect.gen(function* () {
    const rows = yield* side.inbound(pair)
    const at = yield* Clock.currentTimeMillis
    const pending = rows.filter((row) => row.status === "pending" && !row.preview)
    const shownAtFirst = (wakeIds ??= new Set(pending.filter((row) => row.onWake).map((row) => row.id)))
    return chooseBatch(
      pending.filter(
        (row) =>
          (row.processAfter ?? at) <= at &&
          row.tries > (acked.get(row.id) ?? -1) &&
          (!row.onWake || shownAtFirst.has(row.id)),
      ),
    )
  })
}

/** The world of one life. */
export const makeAgentWorld = Effect.fnUntraced(function* (process: AgentProcess) {
  const side = yield* ContainerSide
  const { group, incarnation, session } = process.spec.labels
  const pair: Pair = { groupId: group, sessionId: session, incarnation }
  const { sigterm } = process
  const now = Clock.currentTimeMillis
  /** By message: the `tries` that our last ack answered. */
  const acked = new Map<string, number>()
  let written = 0

  const doorbell = process.print(DOORBELL)
  const beat = Effect.flatMap(now, (at) => side.beat(pair, at))

  return {
    pair,
    /** 1 for the session's first launch, 2 for its second… */
    launch: process.launch,
    /** Completed by the first SIGTERM. */
    sigterm,
    now,
    /** Sleeps, but not through a SIGTERM. */
    sleep: (ms: number) => sleepUnless(sigterm, ms),
    poll: polling(side, pair, acked),
    /** Says "I am processing these", and rings. */
    claim: (batch: Batch) =>
      Effect.flatMap(now, (at) => {
        for (const row of batch) acked.set(row.id, row.tries)
        return commit(batch.map((row) => side.ack(pair, row.id, "processing", { tries: row.tries }, at)))
      }).pipe(Effect.andThen(doorbell), Effect.andThen(Effect.sleep(COMMIT_MS))),
    /** Deletes the claims: nothing was done. */
    release: (batch: Batch) => {
      for (const row of batch) acked.delete(row.id)
      return commit(batch.map((row) => side.unack(pair, row.id)))
    },
    /** Writes one answer, acks the whole batch as completed, and rings. */
    answer: (batch: Batch, text: string) =>
      Effect.flatMap(now, (at) => {
        written += 1
        const { detailOf, row } = answerOf(batch, `out-${incarnation}-${written}`, text)
        return commit([
          side.write(pair, row, at),
          ...batch.map((one) =>
            side.ack(pair, one.id, "completed", { tries: one.tries, detail: detailOf(one) }, at),
          ),
        ])
      }).pipe(Effect.andThen(doorbell)),
    /** Acks the whole batch as failed, and rings. */
    fail: (batch: Batch, failure: { readonly retryable: boolean; readonly error: string }) =>
      Effect.flatMap(now, (at) => {
        const detail = { ...failure, result: null }
        return commit(batch.map(({ id, tries }) => side.ack(pair, id, "failed", { tries, detail }, at)))
      }).pipe(Effect.andThen(doorbell)),
    beat,
    /** Declares the tool in flight, with a beat at its start and, by `null`, at its end. */
    tool: (tool: { readonly name: string; readonly declaredMs: number | null } | null) =>
      Effect.flatMap(now, (at) =>
        side.setTool(
          pair,
          tool === null ? null : { tool: tool.name, declaredTimeoutMs: tool.declaredMs, startedAt: at },
        ),
      ).pipe(Effect.andThen(beat)),
    doorbell,
  }
})
