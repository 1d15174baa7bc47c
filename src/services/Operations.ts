/**
 * What operators and programs ask of Lamplighter. `operations/Contract.ts` declares the operations; the files beside it implement them,
 * one family a file: each checks its request, answers from the ledger, and rings the loop that has to act.
 */
import { Context, Effect, Layer } from "effect"
import type { ContainerRuntime } from "./ContainerRuntime.ts"
import type { Nudge } from "./Nudge.ts"
import type { OperationsThat } from "./operations/Contract.ts"
import { makeGroupRequests } from "./operations/GroupRequests.ts"
import { makeHistoryRequests } from "./operations/HistoryRequests.ts"
import type { KnownChannels } from "./operations/KnownChannels.ts"
import { makeMessageRequests } from "./operations/MessageRequests.ts"
import { makeSending } from "./operations/Sending.ts"
import { makeSessionRequests } from "./operations/SessionRequests.ts"
import { makeTaskRequests } from "./operations/TaskRequests.ts"
import type { SessionStore } from "./SessionStore.ts"
import type { Sweep } from "./Sweep.ts"

export interface OperationsOptions {
  readonly runtime: string
  readonly owners: ReadonlyArray<string>
  readonly globalAdmins: ReadonlyArray<string>
  readonly look: Nudge
  readonly deliver: Nudge
  /** The configured channels; requests that name another are refused. Absent: nobody knows, and every name will do. */
  readonly channels?: KnownChannels
  /** What an operator should know of the host, as it stands when asked. */
  readonly warnings?: (() => ReadonlyArray<string>) | undefined
  /** Ends the program that runs the daemon; without it `shutdown` does nothing. */
  readonly shutdown?: Effect.Effect<void> | undefined
}

export class Operations extends Context.Service<Operations, OperationsThat<never>>()(
  "lamplighter/services/Operations",
) {
  static readonly layer = (
    options: OperationsOptions,
  ): Layer.Layer<Operations, never, SessionStore | Sweep | ContainerRuntime> =>
    Layer.effect(Operations, make(options))
}

const make = Effect.fnUntraced(function* (options: OperationsOptions) {
  return Operations.of({
    ...(yield* makeGroupRequests(options)),
    ...(yield* makeSessionRequests(options)),
    ...(yield* makeMessageRequests(options)),
    ...(yield* makeTaskRequests(options)),
    ...(yield* makeHistoryRequests(options)),
    ...(yield* makeSending(options)),
    shutdown: () => Effect.as(options.shutdown ?? Effect.void, { stopping: true } as const),
  })
})
