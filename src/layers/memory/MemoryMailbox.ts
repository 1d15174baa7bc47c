/**
 * The exchange pair in memory: the host's side as `Mailbox`, the container's side as `ContainerSide` for scripted agents, both on
 * the same rows. What a container writes goes through the same bounds as it does on disk, and faults can be set for tests.
 */
import { Clock, Context, Effect, Layer } from "effect"
import { addressOf } from "../../domain/Address.ts"
import type { EpochMs } from "../../domain/Instant.ts"
import {
  type AckRow,
  type Carryover,
  type GlanceProblem,
  Mailbox,
  MailboxError,
  type OutboundRow,
  type Pair,
  processAfterOf,
  type ProjectedMessage,
  type ProjectedSeries,
  type Projection,
  ProjectionBlocked,
  Quarantined,
  type Reading,
  type ToolInFlight,
  Unreadable,
} from "../../services/Mailbox.ts"

/** How the host's reads or writes of a pair fail. */
type Fault = "none" | "unreadable" | "quarantined" | "blocked" | "defect"

/** What an agent in a container does with its pair. Writing to a pair that is gone is a defect of the test. */
export class ContainerSide extends Context.Service<ContainerSide, ReturnType<typeof containerSide>>()(
  "lamplighter/layers/memory/ContainerSide",
) {}

const keyOf = (pair: Pair): string => `${pair.groupId}/${pair.sessionId}/${pair.incarnation}`

const newPair = (carry: Carryover) => ({
  revision: 0,
  inbound: new Map<string, InboundRow>(),
  acks: new Map<string, AckRow>(),
  outbound: new Map<string, OutboundRow>(carry.outbound.map((row) => [row.id, carriedRow(row)])),
  sessionState: new Map(carry.sessionState.map(({ key, value }) => [key, value])),
  tool: null as ToolInFlight | null,
  heartbeat: null as EpochMs | null,
  writes: 0,
  fault: "none" as Fault,
})
type PairState = ReturnType<typeof newPair>

const carriedRow = (row: Carryover["outbound"][number]): OutboundRow => ({
  ...row,
  timestamp: row.timestampMs,
  deliverAfter: null,
  recurrence: null,
})

/** Both sides over one set of pairs. */
export const layer: Layer.Layer<Mailbox | ContainerSide> = Layer.effectContext(
  Effect.sync(() => {
    const pairs = new Map<string, PairState>()
    return Context.make(Mailbox, hostSide(pairs)).pipe(Context.add(ContainerSide, containerSide(pairs)))
  }),
)

const inboundRow = ({ message, status }: ProjectedMessage, now: EpochMs) => ({
  id: message.id as string,
  seq: message.seq,
  kind: message.kind as string,
  status: status as ProjectedMessage["status"] | ProjectedSeries["status"],
  tries: message.tries,
  trigger: message.trigger,
  onWake: message.onWake,
  /** For listing only, never due. */
  preview: false,
  /** Null: due. */
  processAfter: processAfterOf(message, now),
  content: message.content,
  seriesId: (message.seriesId ?? message.id) as string,
  ...addressOf(message),
})

/** A row of `messages_in` as a container sees it. */
export type InboundRow = Readonly<ReturnType<typeof inboundRow>>

const PREVIEW = { kind: "task", tries: 0, trigger: false, onWake: false, preview: true, processAfter: null }

const previewRow = ({ content, id, seq, status, ...series }: ProjectedSeries): InboundRow => ({
  ...PREVIEW,
  id,
  seq,
  status,
  content,
  seriesId: id,
  ...addressOf(series),
})

const show = (state: PairState, { messages, revision, series }: Projection, now: EpochMs): void => {
  if (state.revision >= revision) return
  for (const projected of messages) state.inbound.set(projected.message.id, inboundRow(projected, now))
  if (series !== null) {
    for (const [id, row] of state.inbound)
      if (row.preview) state.inbound.set(id, { ...row, status: "completed" })
    for (const one of series) state.inbound.set(one.id, previewRow(one))
  }
  state.revision = revision
}

const readingOf = (state: PairState, seen: ReadonlySet<string>): Reading => {
  const acks = [...state.acks.values()]
  const outbound = [...state.outbound.values()].filter((row) => !seen.has(row.id))
  const instants = [...acks.map(({ changedAt }) => changedAt), state.tool?.startedAt ?? null].filter(
    (at) => at !== null,
  )
  return {
    acks,
    outbound,
    tool: state.tool,
    sessionState: [...state.sessionState].map(([key, value]) => ({ key, value })),
    rejected: [],
    outgrown: false,
    newestAt: instants.length === 0 ? null : Math.max(...instants),
  }
}

const hostSide = (pairs: Map<string, PairState>): Mailbox["Service"] => {
  const find = (pair: Pair): Effect.Effect<PairState, MailboxError> => {
    const state = pairs.get(keyOf(pair))
    return state === undefined
      ? Effect.fail(new MailboxError({ message: `there is no pair ${keyOf(pair)}` }))
      : Effect.succeed(state)
  }
  const readable = (pair: Pair): PairState | GlanceProblem => {
    const state = pairs.get(keyOf(pair))
    if (state === undefined) return new Unreadable({ message: `there is no pair ${keyOf(pair)}` })
    if (state.fault === "unreadable") return new Unreadable({ message: "made unreadable" })
    if (state.fault === "defect") throw new Error("a defect in the code that reads this pair")
    return state.fault === "quarantined" ? new Quarantined({ reason: "made hostile" }) : state
  }
  return Mailbox.of({
    paths: (pair) => ({ inDir: `${keyOf(pair)}/in`, outDir: `${keyOf(pair)}/out` }),
    create: (pair, carry) =>
      pairs.has(keyOf(pair))
        ? Effect.fail(new MailboxError({ message: `the pair ${keyOf(pair)} exists` }))
        : Effect.sync(() => void pairs.set(keyOf(pair), newPair(carry))),
    revision: (pair) => Effect.map(find(pair), (state) => state.revision),
    project: (pair, projection) =>
      Effect.flatMap(find(pair), (state) => {
        if (state.fault === "blocked") {
          return Effect.fail(new ProjectionBlocked({ message: "inbound.db is locked by its container" }))
        }
        return Effect.map(Clock.currentTimeMillis, (now) => show(state, projection, now))
      }),
    glance: (pair) => {
      const state = readable(pair)
      return "_tag" in state
        ? state
        : { _tag: "Glance", stamp: String(state.writes), heartbeatMtime: state.heartbeat }
    },
    read: (pair, { seen }) =>
      Effect.suspend(() => {
        const state = readable(pair)
        return "_tag" in state ? Effect.fail(state) : Effect.succeed(readingOf(state, seen))
      }),
    removeBelow: (session, below) =>
      Effect.sync(() => {
        const prefix = `${session.groupId}/${session.sessionId}/`
        for (const key of pairs.keys()) {
          if (key.startsWith(prefix) && Number(key.slice(prefix.length)) < below) pairs.delete(key)
        }
      }),
  })
}

const containerSide = (pairs: Map<string, PairState>) => {
  const on = <A>(pair: Pair, f: (state: PairState) => A): Effect.Effect<A> =>
    Effect.suspend(() => {
      const state = pairs.get(keyOf(pair))
      return state === undefined
        ? Effect.die(new Error(`a container uses the pair ${keyOf(pair)}, which is not there`))
        : Effect.succeed(f(state))
    })
  const set = (pair: Pair, change: Partial<PairState>): Effect.Effect<void> =>
    on(pair, (state) => void Object.assign(state, change))
  const writing = (pair: Pair, f: (state: PairState) => void): Effect.Effect<void> =>
    on(pair, (state) => {
      f(state)
      state.writes += 1
    })
  return {
    inbound: (pair: Pair): Effect.Effect<ReadonlyArray<InboundRow>> =>
      on(pair, (state) => [...state.inbound.values()].sort((a, b) => a.seq - b.seq)),
    acks: (pair: Pair): Effect.Effect<ReadonlyArray<AckRow>> => on(pair, (state) => [...state.acks.values()]),
    ack: (
      pair: Pair,
      messageId: string,
      status: AckRow["status"],
      more: Partial<Pick<AckRow, "tries" | "outcome" | "detail">>,
      at: EpochMs,
    ) =>
      writing(pair, (state) => {
        state.acks.set(messageId, {
          messageId,
          status,
          changedAt: at,
          precision: "ms",
          tries: null,
          outcome: null,
          detail: { retryable: true, error: null, result: null },
          ...more,
        })
      }),
    unack: (pair: Pair, messageId: string) => writing(pair, (state) => state.acks.delete(messageId)),
    write: (pair: Pair, row: Pick<OutboundRow, "id" | "content"> & Partial<OutboundRow>, at: EpochMs) =>
      writing(pair, (state) => {
        const seqs = [...state.inbound.values(), ...state.outbound.values()].map(({ seq }) => seq ?? 0)
        const next = Math.max(0, ...seqs) + 1
        state.outbound.set(row.id, {
          seq: next % 2 === 1 ? next : next + 1,
          inReplyTo: null,
          timestamp: at,
          deliverAfter: null,
          recurrence: null,
          kind: "chat",
          channelType: null,
          platformId: null,
          threadId: null,
          ...row,
        })
      }),
    beat: (pair: Pair, heartbeat: EpochMs) => set(pair, { heartbeat }),
    setTool: (pair: Pair, tool: ToolInFlight | null) => writing(pair, (state) => (state.tool = tool)),
    setState: (pair: Pair, key: string, value: string) =>
      writing(pair, (state) => state.sessionState.set(key, value)),
    /** Makes the host's reads or writes of the pair fail from now on; `none` ends it. */
    setFault: (pair: Pair, fault: Fault) => set(pair, { fault }),
  }
}
