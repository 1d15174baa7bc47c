/**
 * How a container ended, from what the engine says of it at last and from what was heard of it before: an exit code of 137 alone
 * may be the kernel for want of memory, a kill of ours, or the engine that shut down.
 */
import type { ContainerInspectInfo } from "dockerode"
import { type ContainerExit, UNSEEN_EXIT } from "../../services/ContainerRuntime.ts"

export type EngineState = Pick<
  ContainerInspectInfo["State"],
  "Status" | "Running" | "Paused" | "OOMKilled" | "ExitCode" | "StartedAt" | "FinishedAt"
>

/** What was heard of one container while it lived. Instants of the engine; null: not heard. */
export interface Heard {
  /** When the kernel last killed a process in it for memory. */
  readonly oomAt: number | null
  /** When somebody else than this daemon had the engine send it SIGTERM. An engine that shuts down does. */
  readonly askedAt: number | null
  /** The last time in which nothing could be heard: an engine that is restarted ends containers in it. `to` null: until now. */
  readonly silence: { readonly from: number; readonly to: number | null } | null
  /** This daemon has sent it a signal: what follows is nobody else's doing. */
  readonly signalled: boolean
}

export const heardNothing: Heard = { oomAt: null, askedAt: null, silence: null, signalled: false }

/** An out-of-memory kill that is older than this when the container ends is not what ended it: an agent may lose a tool and go on. */
const OOM_ENDS_WITHIN_MS = 5_000
/** Who was asked to stop and is there after this has its own reasons when it ends. The engine's own patience is 15 s. */
const ASKED_ENDS_WITHIN_MS = 60_000

const SIGNALS: Readonly<Record<number, string>> = {
  129: "SIGHUP",
  130: "SIGINT",
  131: "SIGQUIT",
  132: "SIGILL",
  134: "SIGABRT",
  135: "SIGBUS",
  136: "SIGFPE",
  137: "SIGKILL",
  139: "SIGSEGV",
  143: "SIGTERM",
}

/** Milliseconds; the engine writes year 1 for "never". */
export const engineTime = (text: string | undefined): number | null => {
  const at = Date.parse(text ?? "")
  return Number.isNaN(at) || at <= 0 ? null : at
}

export const isOver = (state: EngineState): boolean =>
  !state.Running && !state.Paused && state.Status !== "restarting"

const isOfEngine = (at: number, { askedAt, signalled, silence }: Heard): boolean =>
  !signalled &&
  ((askedAt !== null && at - askedAt <= ASKED_ENDS_WITHIN_MS) ||
    (silence !== null && at >= silence.from && (silence.to === null || at <= silence.to)))

/** `flag`: the engine's own word that it was of memory. It stays for the rest of a container's life, so an instant that was heard says more. */
const exitAt = (at: number, exitCode: number, flag: boolean, heard: Heard): ContainerExit => {
  const isOfMemory = heard.oomAt === null ? flag : at - heard.oomAt <= OOM_ENDS_WITHIN_MS
  const oomKilled = exitCode === 137 && isOfMemory
  return {
    exitCode,
    signal: SIGNALS[exitCode] ?? null,
    oomKilled,
    at,
    ...(!oomKilled && isOfEngine(at, heard) ? { stoppedBy: "engine" as const } : {}),
  }
}

/** The exit of a container that is over. One that was created and never started has none. */
export const engineExit = (state: EngineState, heard: Heard): ContainerExit => {
  const at = engineTime(state.FinishedAt)
  return state.Status === "created" || at === null
    ? UNSEEN_EXIT
    : exitAt(at, state.ExitCode, state.OOMKilled, heard)
}

/** As `engineExit`, with the limit that a container passed which was killed for its memory. */
export const containerExit = (
  { HostConfig, State }: Pick<ContainerInspectInfo, "HostConfig" | "State">,
  heard: Heard,
): ContainerExit => {
  const exit = engineExit(State, heard)
  const limit = HostConfig.Memory ?? 0
  return exit.oomKilled && limit > 0 ? { ...exit, memoryLimitBytes: limit } : exit
}

/**
 * Killed, and nobody said yet by whom. The kernel's kill for want of memory is told by another way than the end, and may come
 * after it.
 */
export const mayBeOfMemory = (state: EngineState, heard: Heard): boolean =>
  state.ExitCode === 137 && !state.OOMKilled && heard.oomAt === null && !heard.signalled

/** The exit of a container that the engine no longer knows: its last event tells, if it was heard. */
export const goneExit = (
  died: { readonly exitCode: number | null; readonly at: number } | null,
  heard: Heard,
): ContainerExit =>
  died === null || died.exitCode === null
    ? { ...UNSEEN_EXIT, at: died?.at ?? null }
    : exitAt(died.at, died.exitCode, false, heard)
