/** How a container ended, from what the engine says of it. */
import type { ContainerInspectInfo } from "dockerode"
import type { ContainerExit } from "../../services/ContainerRuntime.ts"

export type EngineState = Pick<
  ContainerInspectInfo["State"],
  "Status" | "Running" | "Paused" | "OOMKilled" | "ExitCode" | "StartedAt" | "FinishedAt"
>

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

/**
 * The exit of a container that is over. One that was created and never started has none. A process that the kernel killed for
 * memory counts only where it ended the container: an agent may lose a tool so and go on.
 */
export const engineExit = (state: EngineState): ContainerExit => {
  const at = engineTime(state.FinishedAt)
  if (state.Status === "created" || at === null)
    return { exitCode: null, signal: null, oomKilled: false, at: null }
  return {
    exitCode: state.ExitCode,
    signal: SIGNALS[state.ExitCode] ?? null,
    oomKilled: state.OOMKilled && state.ExitCode === 137,
    at,
  }
}
