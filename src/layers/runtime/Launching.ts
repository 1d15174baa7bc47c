/** What the runtimes of real hosts say and check alike. */
import { Effect, Option, Record, Redacted, Schema } from "effect"
import type { InstallId } from "../../domain/Ids.ts"
import {
  type ContainerExit,
  ContainerLabels,
  type ContainerRef,
  type ContainerStatus,
  type LaunchSpec,
  RuntimeUnavailable,
  StartError,
} from "../../services/ContainerRuntime.ts"

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

export const unavailable = (what: string) => (error: unknown) =>
  new RuntimeUnavailable({ message: `${what}: ${messageOf(error)}` })

export const refusal = (reason: StartError["reason"], message: string): StartError =>
  new StartError({ reason, message })

/** Whoever looks into the container, or may ask its engine, can see the secrets there; a gateway is the way without. */
export const environmentOf = ({ env, secrets = {} }: LaunchSpec): Readonly<Record<string, string>> => ({
  ...env,
  ...Record.map(secrets, Redacted.value),
})

/** `exit` null: it runs. */
export const statusOf = (
  ref: ContainerRef,
  exit: ContainerExit | null,
  startedAt: number | null = null,
): ContainerStatus => (exit === null ? { _tag: "Running", ref, startedAt } : { _tag: "Exited", ref, exit })

/** One start of a session at a time, and only of this install's. `starting`: their names. Nothing may interrupt it but at `restore`. */
export const startOnce = <R>(
  { labels, name }: LaunchSpec,
  { install, starting }: { readonly install: InstallId; readonly starting: Set<string> },
  launch: (
    restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>,
  ) => Effect.Effect<ContainerRef, StartError, R>,
): Effect.Effect<ContainerRef, StartError, R> =>
  Effect.uninterruptibleMask((restore) => {
    if (labels.install !== install)
      return refusal("Configuration", `install ${labels.install} is not this one's, ${install}`)
    if (starting.has(name)) return refusal("NameTaken", `session ${labels.session} is being started already`)
    starting.add(name)
    return Effect.ensuring(
      launch(restore),
      Effect.sync(() => starting.delete(name)),
    )
  })

const LABEL_NAMES = ["install", "group", "session", "incarnation"] as const

/** Each label as a text, under the name that `called` gives it, in an order that stays. */
export const labelsAsText = (labels: ContainerLabels, called: (name: string) => string) =>
  LABEL_NAMES.map((name) => [called(name), String(labels[name])] as const)

const decode = Schema.decodeUnknownOption(ContainerLabels)

/** Labels that somebody else has kept as texts; `undefined` when they are not exactly ours. */
export const labelsOfText = (textOf: (name: string, index: number) => string | undefined) => {
  const texts = Object.fromEntries(LABEL_NAMES.map((name, index) => [name, textOf(name, index)]))
  const incarnation = texts["incarnation"] ?? ""
  return /^(?:0|[1-9][0-9]{0,9})$/.test(incarnation)
    ? Option.getOrUndefined(decode({ ...texts, incarnation: Number(incarnation) }))
    : undefined
}
