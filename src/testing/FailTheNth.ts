/**
 * Fail the Nth: the Nth call of any operation of the daemon's contracts fails, once. A test runs the same world with N = 1, 2, 3…
 * until no call is left to fail, as SQLite's tests do with memory and disk.
 */
import { Effect } from "effect"
import { ChannelError } from "../services/Channels.ts"
import { RuntimeUnavailable, StartError } from "../services/ContainerRuntime.ts"
import { LedgerError } from "../services/LedgerDriver.ts"
import { MailboxError, Unreadable } from "../services/Mailbox.ts"
import { WorkspaceError } from "../services/Workspace.ts"
import type { DaemonLayers } from "./SimulatedDaemon.ts"

export class NthCall {
  private readonly nth: number
  private calls = 0
  /** Whether calls count. */
  open = true
  /** The operation that was made to fail; null while there were fewer calls. */
  failed: string | null = null

  constructor(nth: number) {
    this.nth = nth
  }

  /** Whether it is this call's turn. */
  take(operation: string): boolean {
    if (!this.open || this.failed !== null || ++this.calls !== this.nth) return false
    this.failed = operation
    return true
  }
}

const message = "it failed, as every operation does once"
const down = (): RuntimeUnavailable => new RuntimeUnavailable({ message })
const mailboxError = (): MailboxError => new MailboxError({ message })
const unreadable = (): Unreadable => new Unreadable({ message })
const workspaceError = (): WorkspaceError => new WorkspaceError({ message })
const ledgerError = (): LedgerError => new LedgerError({ reason: "Io", message })
const channelError = (): ChannelError => new ChannelError({ kind: "Transient", message, retryAfterMs: null })

/** An error for each operation, one that its contract allows; null: it is let alone. All are named, so that no new one is forgotten. */
type Failures<S> = { readonly [K in keyof S]: (() => FailureOf<S[K]>) | null }
type FailureOf<Operation> = Operation extends (...given: infer _) => infer Answer
  ? FailureOf<Answer>
  : Operation extends Effect.Effect<infer _A, infer E>
    ? E
    : Operation
type Method = (...given: ReadonlyArray<unknown>) => unknown

/** A service whose operations fail when it is their turn. */
const failingWhen =
  (fails: (operation: string) => boolean) =>
  <S extends object>(name: string, service: S, failures: Failures<S>): S => {
    const step = (operation: string, answer: unknown, error: () => unknown): unknown =>
      Effect.isEffect(answer)
        ? Effect.suspend(() => (fails(operation) ? Effect.fail(error()) : answer))
        : fails(operation)
          ? error()
          : answer
    const wrapped = Object.entries(failures).flatMap(([method, error]) => {
      if (error === null) return []
      const operation = `${name}.${method}`
      const plain: unknown = service[method as keyof S]
      const fail = error as () => unknown
      const failable =
        typeof plain === "function"
          ? (...given: ReadonlyArray<unknown>) => step(operation, (plain as Method)(...given), fail)
          : step(operation, plain, fail)
      return [[method, failable]]
    })
    return { ...service, ...Object.fromEntries(wrapped) }
  }

/** The same layers, of whose calls the Nth fails with an error that its contract allows. `onFail` is told before. */
export const failingTheNth = (
  layers: DaemonLayers,
  nth: NthCall,
  onFail: (operation: string) => void,
): DaemonLayers => {
  const failing = failingWhen((operation) => {
    const taken = nth.take(operation)
    if (taken) onFail(operation)
    return taken
  })
  const { channels, ledger, mailbox, workspace } = layers
  return {
    ...layers,
    ledger: failing("ledger", ledger, { transaction: ledgerError, read: ledgerError, backup: null }),
    mailbox: failing("mailbox", mailbox, {
      paths: null,
      create: mailboxError,
      revision: mailboxError,
      project: mailboxError,
      glance: unreadable,
      read: unreadable,
      removeBelow: mailboxError,
    }),
    workspace: failing("workspace", workspace, {
      zeroExitLogs: null,
      prepareGroup: workspaceError,
      writeSessionLists: workspaceError,
      writeExitLog: workspaceError,
    }),
    channels: {
      types: channels.types,
      get: (type) => {
        const channel = channels.get(type)
        return channel && failing("channel", channel, { type: null, send: channelError })
      },
    },
    runtime: (plain) =>
      failing("runtime", layers.runtime(plain), {
        kind: null,
        bootId: null,
        events: null,
        start: () => new StartError({ reason: "RuntimeDown", message }),
        stop: down,
        kill: down,
        list: down,
        adopt: down,
        output: down,
        remove: down,
      }),
  }
}
