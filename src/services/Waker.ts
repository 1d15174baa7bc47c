/**
 * Starts one container beside the pass, so that a slow engine delays only its own session, in this order: the intent in the ledger
 * (`beginIncarnation`), the provider's credentials, the mounts, the group's folders with container.json, a fresh pair, the lists of tasks
 * and groups, the projection, then the start. Whatever fails before a container exists ends the incarnation at no cost to its messages,
 * and the session backs off. What nobody can vouch for is settled by a list.
 */
import { Effect, Result } from "effect"
import { containerJsonOf } from "../domain/ContainerJson.ts"
import type { Group } from "../domain/Group.ts"
import { started } from "../domain/Life.ts"
import type { SessionId } from "../domain/Ids.ts"
import type { MountRequest } from "../domain/MountPolicy.ts"
import { ContainerRuntime, StartError } from "./ContainerRuntime.ts"
import { type CredentialGrant, Credentials } from "./Credentials.ts"
import { HostMounts } from "./HostMounts.ts"
import { type ProviderContribution, ProviderRegistry } from "./ProviderRegistry.ts"
import { crashable } from "./CrashPoint.ts"
import type { Begun, WakeCause } from "./ledger/Admission.ts"
import { taskHome } from "./ledger/FindSeries.ts"
import { Mailbox, type Pair } from "./Mailbox.ts"
import { SessionStore } from "./SessionStore.ts"
import { atBoundary } from "./sweep/Boundary.ts"
import { Errands } from "./sweep/Errands.ts"
import { Fleet } from "./sweep/Fleet.ts"
import { project } from "./sweep/Project.ts"
import { encodeRef, listedAtLast } from "./sweep/Reconcile.ts"
import type { Signals } from "./sweep/Signals.ts"
import { Starts } from "./sweep/Starts.ts"
import { Workspace } from "./Workspace.ts"

/** Only for a session that was put under way when its room was taken. While its last start is still ending, a later pass begins it. */
export const launch = Effect.fnUntraced(function* (sessionId: SessionId, cause: WakeCause) {
  const starts = yield* Starts
  const errands = yield* Errands
  const needs = yield* Effect.context<Effect.Services<ReturnType<typeof wake>> | Signals>()
  const begun = yield* errands.run(
    `start ${sessionId}`,
    atBoundary(sessionId, wake(sessionId, cause), undefined).pipe(
      // The ledger's trouble was told where it happened; the session is still due.
      Effect.ignore,
      Effect.ensuring(Effect.sync(() => starts.underWay.delete(sessionId))),
      Effect.provideContext(needs),
    ),
  )
  if (!begun) starts.underWay.delete(sessionId)
})

const wake = Effect.fnUntraced(function* (sessionId: SessionId, cause: WakeCause) {
  const runtime = yield* ContainerRuntime
  const store = yield* SessionStore
  const fleet = yield* Fleet
  const begun = yield* store
    .beginIncarnation(sessionId, cause, runtime.bootId, (yield* Starts).install)
    .pipe(Effect.catchTag(["Conflict", "NotFound"], () => Effect.succeed(null)))
  // The picture was old: it runs already, or nothing is due any more.
  if (begun === null) return
  const { pair } = fleet.begin(begun.incarnation, begun.incarnation.spawnedAt)
  yield* start(begun, pair).pipe(
    // Whatever interrupted it, a list finds out what is there. One that is known to run keeps its room until then.
    Effect.onError(() =>
      Effect.sync(() => {
        if (fleet.of(sessionId)?.ref == null) fleet.leave(pair)
      }),
    ),
  )
})

const start = Effect.fnUntraced(function* (begun: Begun, pair: Pair) {
  const runtime = yield* ContainerRuntime
  const store = yield* SessionStore
  const fleet = yield* Fleet
  const starts = yield* Starts
  const result = yield* Effect.yieldNow.pipe(
    Effect.andThen(provide(begun.group)),
    Effect.flatMap((provided) => starts.composing.withPermit(compose(begun, pair, provided))),
    Effect.flatMap((spec) => runtime.start(spec).pipe(crashable("runtime.start"))),
    Effect.mapError((error) =>
      error instanceof StartError
        ? error
        : new StartError({ reason: "Configuration", message: `${error._tag}: ${error.message}` }),
    ),
    Effect.result,
  )
  if (result._tag === "Success") {
    const ref = result.success
    fleet.change(pair, (known) => ({
      ...known,
      ref,
      life: known.life._tag === "Starting" ? started(known.life) : known.life,
    }))
    yield* store.markStarted(pair.sessionId, pair.incarnation, encodeRef(ref))
    return yield* starts.runtimeUp
  }
  const { reason, message } = result.failure
  if (reason === "Ambiguous" || reason === "NameTaken") return yield* settleStart(pair, message)
  yield* store.failStart(pair.sessionId, pair.incarnation, {
    reason,
    message,
    backOff: reason === "RuntimeDown" ? "breaker" : "session",
  })
  fleet.leave(pair)
  if (reason !== "RuntimeDown")
    return yield* Effect.logWarning(`session ${pair.sessionId} could not start (${reason}): ${message}`)
  yield* starts.runtimeDown(message)
  yield* Effect.logWarning(`the runtime is down: ${message}`)
})

/**
 * Only a listing can tell what became of a start. What it does not show did not start: the session tries again after its backoff.
 * A runtime that does not even list is down for everybody, and is asked again until it does.
 */
const settleStart = Effect.fnUntraced(function* (pair: Pair, message: string) {
  const fleet = yield* Fleet
  const starts = yield* Starts
  const store = yield* SessionStore
  // The listing adopts it like one that an earlier daemon started.
  fleet.leave(pair)
  const unanswered = yield* listedAtLast(() => starts.runtimeDown(message))
  if (unanswered === null) return
  yield* starts.runtimeUp
  if (fleet.of(pair.sessionId)?.pair.incarnation === pair.incarnation) return
  yield* store.failStart(pair.sessionId, pair.incarnation, {
    reason: "NotStarted",
    message,
    backOff: unanswered > 0 ? "breaker" : "session",
  })
})

/** Of the grace, kept for the end of what the turn at hand started and for what it hands back. */
const STOP_RESERVE_MS = 2_000
/** What a timer of the runner takes. */
const MAX_STOP_MS = 2 ** 31 - 1
/** How long its turn at hand may take after SIGTERM: a runner that waits longer than its grace is killed with its claims in its hands. */
const runnerStopMs = (graceMs: number): number =>
  Math.min(MAX_STOP_MS, Math.max(1, graceMs - STOP_RESERVE_MS))

/**
 * Everything that a start needs on disk. Repeatable: a second try finds the same folders. Files are written synchronously, so that
 * whatever else waits has its turn between two steps, and those that were begun by one commit don't all go on in the turn that made it.
 */
const compose = Effect.fnUntraced(function* (
  begun: Begun,
  pair: Pair,
  { contribution, credentials }: Provided,
) {
  const workspace = yield* Workspace
  const mailbox = yield* Mailbox
  const store = yield* SessionStore
  const fleet = yield* Fleet
  const { incarnation, group, session } = begun
  const { install } = yield* Starts
  const zone = group.zone ?? store.options.zone
  const policy = { ...store.options.policy, ...group.policy }
  const mounts = yield* admitMounts(group)
  const json = containerJsonOf(group, zone, policy.maxMessagesPerPrompt)
  if (Result.isFailure(json)) return yield* misconfigured(group, json.failure)
  yield* Effect.yieldNow
  const paths = yield* workspace.prepareGroup(group, json.success).pipe(crashable("workspace.prepareGroup"))
  yield* Effect.yieldNow
  yield* mailbox.create(pair, begun.carryover).pipe(crashable("mailbox.create"))
  const lists = yield* store.read((reader) => ({
    tasks: reader.seriesList({ sessionId: taskHome(reader, session) }, { limit: 500 }),
    groups: reader.groups().map(({ id, name }) => ({ id, name })),
  }))
  yield* workspace.writeSessionLists(pair, lists).pipe(crashable("workspace.writeSessionLists"))
  yield* Effect.yieldNow
  const projected = yield* project(pair, 0)
  fleet.change(pair, (known) => ({ ...known, files: { ...known.files, projected } }))
  // What an earlier container left behind is no reason not to start the next one.
  yield* mailbox.removeBelow(pair, incarnation.number - 1).pipe(
    crashable("mailbox.removeBelow"),
    Effect.catchTag("MailboxError", ({ message }) => Effect.logWarning(message)),
  )
  return {
    labels: {
      install,
      group: session.groupId,
      session: session.id,
      incarnation: incarnation.number,
    },
    name: `lamplighter-${install}-${session.id}`,
    ...mailbox.paths(pair),
    ...paths,
    env: {
      ...contribution.env,
      ...credentials.env,
      TZ: zone,
      LAMPLIGHTER_SESSION: session.id,
      LAMPLIGHTER_STOP_MS: String(runnerStopMs(policy.graceMs)),
    },
    secrets: { ...contribution.secrets, ...credentials.secrets },
    image: group.imageTag,
    packages: group.container.packages,
    sandbox: group.container.sandbox,
    binds: [...contribution.binds, ...credentials.binds, ...mounts.binds],
    hostNames: credentials.hostNames,
    runnerDir: mounts.runnerDir,
    graceMs: policy.graceMs,
  }
})

const misconfigured = (group: Group, why: string): StartError =>
  new StartError({ reason: "Configuration", message: `group ${group.id}: ${why}` })

interface Provided {
  readonly contribution: ProviderContribution
  readonly credentials: CredentialGrant
}

/** What the group's provider brings along, and the credentials that it needs: without them nothing is started. */
const provide = Effect.fnUntraced(function* (group: Group) {
  const registry = yield* ProviderRegistry
  const unknown = registry.refuse(group)
  if (unknown !== null) return yield* misconfigured(group, unknown)
  const contribution = registry.contribute(group)
  const credentials = yield* (yield* Credentials)
    .of(group, contribution.credentials)
    .pipe(
      Effect.mapError(
        ({ message }) => new StartError({ reason: "Credentials", message: `group ${group.id}: ${message}` }),
      ),
    )
  return { contribution, credentials } satisfies Provided
})

const RUNNER_TARGET = "lamplighter-runner"

/** All or nothing: an agent that lacks a folder which it was promised does its work wrongly. */
const admitMounts = Effect.fnUntraced(function* (group: Group) {
  const { mounts, runnerDir } = group.container
  const runner: ReadonlyArray<MountRequest> =
    runnerDir === null ? [] : [{ source: runnerDir, target: RUNNER_TARGET, access: "read-only" }]
  if (mounts.length === 0 && runner.length === 0) return { binds: [], runnerDir: null }
  const decisions = yield* (yield* HostMounts).decide([...runner, ...mounts])
  const refused = decisions.filter((decision) => decision._tag === "Refused")
  if (refused.length > 0) return yield* misconfigured(group, refused.map(({ message }) => message).join("; "))
  const binds = decisions.flatMap((decision) => (decision._tag === "Allowed" ? [decision.bind] : []))
  return runner.length === 0
    ? { binds, runnerDir: null }
    : { binds: binds.slice(1), runnerDir: binds[0]?.source ?? null }
})
