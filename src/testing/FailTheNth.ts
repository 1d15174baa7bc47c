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
  private open = true
  /** The operation that was made to fail; null while there were fewer calls. */
  failed: string | null = null

  constructor(nth: number) {
    this.nth = nth
  }

  /** No call counts any more. */
  close(): void {
    this.open = false
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

/** The same layers, of whose calls the Nth fails with an error that its contract allows. `onFail` is told before. */
export const failingTheNth = (
  layers: DaemonLayers,
  nth: NthCall,
  onFail: (operation: string) => void,
): DaemonLayers => {
  const fails = (operation: string): boolean => {
    const taken = nth.take(operation)
    if (taken) onFail(operation)
    return taken
  }
  const step = <A, E, E2>(operation: string, effect: Effect.Effect<A, E>, error: () => E2) =>
    Effect.suspend((): Effect.Effect<A, E | E2> => (fails(operation) ? Effect.fail(error()) : effect))
  const { channels, ledger, mailbox, workspace } = layers
  return {
    ...layers,
    ledger: {
      transaction: (f) => step("ledger.transaction", ledger.transaction(f), ledgerError),
      read: (f) => step("ledger.read", ledger.read(f), ledgerError),
      backup: ledger.backup,
    },
    mailbox: {
      paths: mailbox.paths,
      create: (pair, carry) => step("mailbox.create", mailbox.create(pair, carry), mailboxError),
      revision: (pair) => step("mailbox.revision", mailbox.revision(pair), mailboxError),
      project: (pair, projection) => step("mailbox.project", mailbox.project(pair, projection), mailboxError),
      glance: (pair) => (fails("mailbox.glance") ? unreadable() : mailbox.glance(pair)),
      read: (pair, options) => step("mailbox.read", mailbox.read(pair, options), unreadable),
      removeBelow: (session, below) =>
        step("mailbox.removeBelow", mailbox.removeBelow(session, below), mailboxError),
    },
    workspace: {
      zeroExitLogs: workspace.zeroExitLogs,
      prepareGroup: (group, json) =>
        step("workspace.prepareGroup", workspace.prepareGroup(group, json), workspaceError),
      writeSessionLists: (pair, lists) =>
        step("workspace.writeSessionLists", workspace.writeSessionLists(pair, lists), workspaceError),
      writeExitLog: (log) => step("workspace.writeExitLog", workspace.writeExitLog(log), workspaceError),
    },
    channels: {
      types: channels.types,
      get: (type) => {
        const channel = channels.get(type)
        if (channel === undefined) return undefined
        const error = (): ChannelError => new ChannelError({ kind: "Transient", message, retryAfterMs: null })
        return { type, send: (delivery) => step("channel.send", channel.send(delivery), error) }
      },
    },
    runtime: (plain) => {
      const runtime = layers.runtime(plain)
      return {
        ...runtime,
        start: (spec) =>
          step(
            "runtime.start",
            runtime.start(spec),
            () => new StartError({ reason: "RuntimeDown", message }),
          ),
        stop: (ref) => step("runtime.stop", runtime.stop(ref), down),
        kill: (ref) => step("runtime.kill", runtime.kill(ref), down),
        list: step("runtime.list", runtime.list, down),
        adopt: (ref) => step("runtime.adopt", runtime.adopt(ref), down),
        output: (ref, maxBytes) => step("runtime.output", runtime.output(ref, maxBytes), down),
        remove: (ref) => step("runtime.remove", runtime.remove(ref), down),
      }
    },
  }
}
