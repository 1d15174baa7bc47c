/**
 * Ready scripts for a `SimulatedEngine`: one well-behaved agent, and one for each way in which agents are known to go wrong.
 * All of them work like the real runner (poll, claim, work with heartbeats, answer, ack, doorbell; on SIGTERM release and exit
 * 0) except in the one thing that their name says.
 */
import { Deferred, Effect } from "effect"
import { type AgentWorld, makeAgentWorld } from "./AgentWorld.ts"
import type { ContainerSide, InboundRow } from "./MemoryMailbox.ts"
import type { AgentScript } from "./SimulatedEngine.ts"

export interface Pace {
  /** Between two looks at the inbox. Default 1 s. */
  readonly pollMs?: number
  /** Between two heartbeats while working. Default 10 s. */
  readonly beatMs?: number
}

type Answer = (batch: ReadonlyArray<InboundRow>) => string

const POLL_MS = 1_000
const BEAT_MS = 10_000
const SIGTERM_EXIT = 0

/** How a turn ended: `next` goes on to the next poll. */
type Turn = "next" | { readonly exit: number }

/** How most agents work: `workMs` on each batch, and then an answer. */
type Working = { readonly workMs?: number; readonly answer?: Answer } & Pace

/** Polls for ever and hands each batch to `turn`, already claimed. */
const agent =
  (
    turn: (world: AgentWorld, batch: ReadonlyArray<InboundRow>) => Effect.Effect<Turn>,
    pace: Pace = {},
  ): AgentScript<ContainerSide> =>
  (process) =>
    Effect.gen(function* () {
      const world = yield* makeAgentWorld(process)
      while (!Deferred.isDoneUnsafe(world.sigterm)) {
        const batch = yield* world.poll
        if (batch.length === 0) {
          yield* world.sleep(pace.pollMs ?? POLL_MS)
          continue
        }
        yield* world.claim(batch)
        const end = yield* turn(world, batch)
        if (end !== "next") return end.exit
      }
      return SIGTERM_EXIT
    })

/** Works with a heartbeat at the start, now and then, and at the end. */
const work = Effect.fnUntraced(function* (world: AgentWorld, { beatMs = BEAT_MS, workMs = 0 }: Working) {
  yield* world.beat
  const stepMs = Math.max(1, beatMs)
  for (let left = workMs; left > 0; left -= stepMs) {
    if ((yield* world.sleep(Math.min(left, stepMs))) === "sigterm") return "sigterm"
    yield* world.beat
  }
  return "slept"
})

const released = (world: AgentWorld, batch: ReadonlyArray<InboundRow>): Effect.Effect<Turn> =>
  Effect.as(world.release(batch), { exit: SIGTERM_EXIT })

const echo: Answer = (batch) => batch.map((row) => `echo ${row.id}`).join(", ")

/** Works on each batch and answers it, unless `instead` finds something else to do with it after the work. */
const worker = (
  options: Working,
  instead: (world: AgentWorld, batch: ReadonlyArray<InboundRow>) => Effect.Effect<Turn> | null = () => null,
  working: (world: AgentWorld) => Effect.Effect<"slept" | "sigterm"> = (world) => work(world, options),
): AgentScript<ContainerSide> =>
  agent(
    (world, batch) =>
      Effect.flatMap(working(world), (end) => {
        if (end === "sigterm") return released(world, batch)
        const { answer = echo } = options
        return instead(world, batch) ?? Effect.as(world.answer(batch, answer(batch)), "next" as const)
      }),
    options,
  )

/** Answers each batch after `workMs` of visible work. */
export const healthy = (options: Working = {}): AgentScript<ContainerSide> => worker(options)

/** Takes long, and shows that it is alive. */
export const slow = (options: { readonly workMs: number } & Pace): AgentScript<ContainerSide> =>
  worker(options)

/** Claims, and is never heard of again. `hangs` (the default): it does not even react to SIGTERM. */
export const silentAfterClaim = (
  options: { readonly onSigterm?: "hangs" | "releases" } & Pace = {},
): AgentScript<ContainerSide> =>
  agent((world, batch) => {
    if (options.onSigterm !== "releases") return Effect.never
    return Effect.andThen(Deferred.await(world.sigterm), released(world, batch))
  }, options)

/** Runs, and never looks at its inbox. Exits 0 on SIGTERM. */
export const neverClaims =
  (): AgentScript =>
  ({ sigterm }) =>
    Effect.as(Deferred.await(sigterm), SIGTERM_EXIT)

/** Exits with this code before it has looked at anything, after `afterMs`. */
export const crashesAtStart =
  (exitCode: number, afterMs = 0): AgentScript =>
  ({ printError }) =>
    Effect.sleep(afterMs).pipe(Effect.andThen(printError("crashed at start")), Effect.as(exitCode))

/** Dies in the middle of any batch that has a poisonous row in it; answers the others. */
export const crashesMidMessage = (
  options: { readonly poison: (row: InboundRow) => boolean; readonly exitCode?: number } & Working,
): AgentScript<ContainerSide> =>
  worker(options, (_, batch) =>
    batch.some(options.poison) ? Effect.succeed({ exit: options.exitCode ?? 139 }) : null,
  )

/** Works and answers, and goes on doing so whatever SIGTERM says: only SIGKILL ends it. */
export const ignoresSigterm =
  (options: Working = {}): AgentScript<ContainerSide> =>
  (process) =>
    healthy(options)({ ...process, sigterm: Deferred.makeUnsafe<void>() })

/** Says that each batch failed. `when`: only those with such a row; the others it answers. */
export const failsTheMessage = (
  options: {
    readonly retryable: boolean
    readonly error?: string
    readonly when?: (row: InboundRow) => boolean
  } & Working,
): AgentScript<ContainerSide> => {
  const { error = "it did not work", retryable, when = () => true } = options
  return worker(options, (world, batch) =>
    batch.some(when) ? Effect.as(world.fail(batch, { retryable, error }), "next" as const) : null,
  )
}

/** Declares a tool (or, with `declaredMs: null`, declares no timeout for it) and is silent for `workMs`; then answers. */
export const toolSilent = (
  options: { readonly declaredMs: number | null; readonly workMs: number; readonly tool?: string } & Working,
): AgentScript<ContainerSide> =>
  worker(options, undefined, (world) =>
    world.tool({ name: options.tool ?? "Bash", declaredMs: options.declaredMs }).pipe(
      Effect.andThen(world.sleep(options.workMs)),
      Effect.tap(() => world.tool(null)),
    ),
  )
