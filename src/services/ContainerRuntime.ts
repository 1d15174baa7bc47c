/**
 * Whatever runs agents: Docker, child processes, a simulation. A container is known by its labels; the runtime keeps an
 * exited one listed until `remove`, so that an exit seen by nobody is not lost.
 */
import { Context, type Effect, type Redacted, Schema, type Stream } from "effect"
import type { Bind, SandboxOverride, SkillFolders } from "../domain/ContainerSpec.ts"
import { GroupId, IncarnationNumber, InstallId, SessionId } from "../domain/Ids.ts"
import { EpochMs } from "../domain/Instant.ts"
import type { ImagePackages } from "../domain/ImagePlan.ts"

export const ContainerLabels = Schema.Struct({
  install: InstallId,
  group: GroupId,
  session: SessionId,
  incarnation: IncarnationNumber,
})
export type ContainerLabels = typeof ContainerLabels.Type

/** How to find one container again: stored in the ledger as JSON, so it survives the daemon. */
export const ContainerRef = Schema.Struct({
  labels: ContainerLabels,
  /** Runtime-specific identity, opaque to everybody else. */
  handle: Schema.String,
})
export type ContainerRef = typeof ContainerRef.Type

/** Everything a runtime needs to start one agent. All paths are host paths. */
export interface LaunchSpec {
  readonly labels: ContainerLabels
  /** One per session: an engine that refuses a second container of that name is the last guard against two. */
  readonly name: string
  /** `in/` and `out/` of this incarnation. */
  readonly inDir: string
  readonly outDir: string
  readonly groupDir: string
  readonly globalDir: string
  readonly containerJson: string
  /** What foreign code reads from the environment: TZ, proxies, provider variables. */
  readonly env: Readonly<Record<string, string>>
  readonly image: string | null
  readonly graceMs: number
  /** What this group changes of the configured sandbox; runtimes without one ignore it. */
  readonly sandbox?: SandboxOverride
  /** Additional mounts that passed the allowlist; their sources are real paths, and must still be at the start. */
  readonly binds?: ReadonlyArray<Bind>
  /** Added to the image; runtimes without images ignore them. */
  readonly packages?: ImagePackages
  /** Takes the place of the runner's source. A real path, as with `binds`. */
  readonly runnerDir?: string | null
  /** The group's state: read-write, outlives its containers. */
  readonly stateDir?: string
  /** Shared skills, and the folder of links to those of this group. */
  readonly skills?: SkillFolders
  /** Names by which the container reaches this host; none on a container without a network. */
  readonly hostNames?: ReadonlyArray<string>
  /** Environment that nobody may see: never logged, never in container.json. */
  readonly secrets?: Readonly<Record<string, Redacted.Redacted>>
}

/** `exitCode` and `signal` are both null when nobody could see how it ended. */
export interface ContainerExit {
  readonly exitCode: number | null
  readonly signal: string | null
  readonly oomKilled: boolean
  /** The limit on its memory, where it was killed for passing it and the runtime knows. */
  readonly memoryLimitBytes?: number
  /** When, if the runtime knows better than the observer. */
  readonly at: EpochMs | null
  /** The engine ended it, because it shut down, was restarted, or was told to by somebody else: nothing that the agent did. */
  readonly stoppedBy?: "engine"
}

/** All that is known of an exit that nobody saw. */
export const UNSEEN_EXIT: ContainerExit = { exitCode: null, signal: null, oomKilled: false, at: null }

export type ContainerStatus =
  | { readonly _tag: "Running"; readonly ref: ContainerRef; readonly startedAt: EpochMs | null }
  | { readonly _tag: "Exited"; readonly ref: ContainerRef; readonly exit: ContainerExit }

/** The line on stdout by which the runner asks for a look at what it wrote. */
export const DOORBELL = "::lamplighter::doorbell"

export type RuntimeEvent =
  | { readonly _tag: "Exited"; readonly ref: ContainerRef; readonly exit: ContainerExit }
  /** One line of stdout, without its newline, cut at a limit. `DOORBELL` is one. */
  | { readonly _tag: "Line"; readonly ref: ContainerRef; readonly line: string }
  /** Events may have been missed: list again. */
  | { readonly _tag: "Gap"; readonly reason: string }

/**
 * A start failed. `Ambiguous`: the container may exist; list before anything else. Every other reason promises that no
 * container of these labels is left.
 */
export class StartError extends Schema.TaggedError<StartError>()("StartError", {
  reason: Schema.Literals([
    "ImageMissing",
    "RuntimeDown",
    "Configuration",
    "Credentials",
    "NameTaken",
    "Ambiguous",
  ]),
  message: Schema.String,
}) {}

/** The engine did not answer, or answered with an error. "Unknown" is never "dead". */
export class RuntimeUnavailable extends Schema.TaggedError<RuntimeUnavailable>()("RuntimeUnavailable", {
  message: Schema.String,
}) {}

export interface ContainerOutput {
  readonly stdout: string
  readonly stderr: string
  /** Both streams in order of time, by whole lines, without doorbells: for people. */
  readonly text: string
  /** What it was, for the head of an exit log: image, limits, mounts; never its environment. Runtimes that know nothing leave it out. */
  readonly facts?: ReadonlyArray<readonly [name: string, value: string]>
}

export class ContainerRuntime extends Context.Service<
  ContainerRuntime,
  {
    /** For logs and `status`: `process`, `docker`, `simulated`. */
    readonly kind: string
    /** The host's boot: pairs of another boot are not trusted. */
    readonly bootId: string
    /** Starts one container and watches it from then on. At most one per name. */
    readonly start: (spec: LaunchSpec) => Effect.Effect<ContainerRef, StartError>
    /** Asks it to stop (SIGTERM) and returns; the exit arrives as an event. The grace is the caller's. Gone already: success. */
    readonly stop: (ref: ContainerRef) => Effect.Effect<void, RuntimeUnavailable>
    /** SIGKILL to everything in it, and returns; the exit arrives as an event. Gone already: success. */
    readonly kill: (ref: ContainerRef) => Effect.Effect<void, RuntimeUnavailable>
    /** Every container of this install, running or exited and not removed, whoever started it. Never of another install. */
    readonly list: Effect.Effect<ReadonlyArray<ContainerStatus>, RuntimeUnavailable>
    /** Watches one that an earlier daemon started: its exit and its lines arrive as events. Watched already: nothing. */
    readonly adopt: (ref: ContainerRef) => Effect.Effect<void, RuntimeUnavailable>
    /** The last bytes of what it wrote, also after its exit, until `remove`. */
    readonly output: (
      ref: ContainerRef,
      maxBytes: number,
    ) => Effect.Effect<ContainerOutput, RuntimeUnavailable>
    /** Forgets an exited container and frees what it held. Repeating it is harmless; a running one is refused. */
    readonly remove: (ref: ContainerRef) => Effect.Effect<void, RuntimeUnavailable>
    /** Exits, lines and gaps, from the moment of subscription; one subscriber gets all of them in order. */
    readonly events: Stream.Stream<RuntimeEvent>
  }
>()("lamplighter/services/ContainerRuntime") {}
