/**
 * One turn: claim, ask the script, ask the provider, commit the answer and the acks in one transaction, ring. A turn ends in one
 * of four ways, and whatever a crash leaves of it is an open claim that the host can see.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { ring } from "./Bell.ts"
import { claim, end, release, type Ending } from "./Claims.ts"
import type { Configuration } from "./Configuration.ts"
import type { Batch, Inbox } from "./Inbox.ts"
import { log, messageOf } from "./Log.ts"
import { OutboundBroken, type OutboundFile } from "./OutboundFile.ts"
import { newOutboundId, type OutboundMessage, post, textContent } from "./Outbox.ts"
import { runScript } from "./PreTaskScript.ts"
import { promptOf, scriptOf } from "./Prompt.ts"
import {
  type Draft,
  type Prompt,
  type Provider,
  ProviderError,
  type TurnContext,
} from "./providers/Provider.ts"
import type { Shutdown } from "./Shutdown.ts"
import { setTool } from "./ToolState.ts"

export interface TurnServices {
  readonly configuration: Configuration
  readonly file: OutboundFile
  readonly beat: () => void
  readonly inbox: Inbox
  readonly provider: Provider
  readonly shutdown: Shutdown
}

type Verdict =
  | { readonly kind: "answered"; readonly text: string }
  | Exclude<Ending, { readonly kind: "completed" }>
  | { readonly kind: "released" }

/** A provider that does not end when told to is not waited for longer than this. */
const ABORT_PATIENCE_MS = 1_500

/** Rejects with `OutboundBroken` only; the claims stay open then. */
export const runTurn = async (batch: Batch, services: TurnServices): Promise<void> => {
  const { beat, file } = services
  const rows = [...batch.triggers, ...batch.context]
  const names = batch.triggers.map((row) => `${row.id} (try ${row.tries})`).join(", ")
  const claimedAtMs = Date.now()
  await file.write("claim", (database) => claim(database, rows, claimedAtMs))
  beat()
  ring()
  log("info", `claimed ${names}${batch.context.length > 0 ? ` with ${batch.context.length} of context` : ""}`)
  const verdict = await judge(batch, services)
  await commit(batch, verdict, services)
  ring()
  const why = verdict.kind === "failed" || verdict.kind === "skipped" ? verdict.error : null
  log(
    verdict.kind === "failed" ? "warn" : "info",
    `${verdict.kind} ${names}${why === null ? "" : `: ${why}`}`,
  )
}

const judge = async (batch: Batch, services: TurnServices): Promise<Verdict> => {
  const context = contextOf(batch, services)
  const script = batch.triggers[0] === undefined ? undefined : scriptOf(batch.triggers[0])
  let scriptData: unknown
  if (script !== undefined) {
    const verdict = await runScript(script, services.configuration.workdir, context)
    if (verdict.kind === "aborted") return { kind: "released" }
    if (verdict.kind === "skipped") return verdict
    scriptData = verdict.data
  }
  try {
    const prompt = promptOf(batch, services.configuration, scriptData)
    const { text } = await askProvider(prompt, context, services)
    return { kind: "answered", text }
  } catch (error) {
    if (error instanceof OutboundBroken) throw error
    if (context.signal.aborted) return { kind: "released" }
    const retryable = !(error instanceof ProviderError) || error.retryable
    return { kind: "failed", error: messageOf(error), retryable }
  }
}

const askProvider = (prompt: Prompt, context: TurnContext, { provider }: TurnServices) => {
  const { signal } = context
  const done = new AbortController()
  const impatience = new Promise<never>((_, reject) => {
    const arm = (): void => {
      sleep(ABORT_PATIENCE_MS, undefined, { signal: done.signal }).then(
        () => reject(new ProviderError(`the provider '${provider.name}' did not stop`, "retryable")),
        () => undefined,
      )
    }
    if (signal.aborted) arm()
    else signal.addEventListener("abort", arm, { once: true, signal: done.signal })
  })
  return Promise.race([provider.run(prompt, context), impatience]).finally(() => done.abort())
}

const contextOf = (batch: Batch, { beat, file, inbox, shutdown }: TurnServices): TurnContext => {
  const show = async (what: string, tool: Parameters<typeof setTool>[1]): Promise<void> => {
    const atMs = Date.now()
    await file.write(what, (database) => setTool(database, tool, atMs))
    beat()
  }
  return {
    signal: shutdown.giveUp,
    beat,
    onTool: (name, timeoutMs) => show("tool in flight", { name, timeoutMs }),
    onToolEnd: () => show("tool ended", null),
    post: async (draft) => {
      const message = messageFrom(draft, batch)
      const atMs = Date.now()
      inbox.refreshLargestSeq()
      await file.write("outbound row", (database) => post(database, message, inbox.largestSeq, atMs))
      ring()
    },
  }
}

const commit = async (batch: Batch, verdict: Verdict, { file, inbox }: TurnServices): Promise<void> => {
  const { triggers, context } = batch
  const atMs = Date.now()
  if (verdict.kind === "released") {
    await file.write("release", (database) => release(database, [...triggers, ...context]))
    return
  }
  if (verdict.kind !== "answered") {
    await file.write(verdict.kind, (database) => {
      end(database, triggers, verdict, atMs)
      // No agent has seen this context, so it is offered again.
      release(database, context)
    })
    return
  }
  const answer = verdict.text === "" ? undefined : answerOf(verdict.text, batch)
  inbox.refreshLargestSeq()
  await file.write("answer", (database) => {
    if (answer !== undefined) post(database, answer, inbox.largestSeq, atMs)
    const result = verdict.text === "" ? null : verdict.text
    const [first, second] = triggers
    const turn = first === undefined || second === undefined ? {} : { turn: first.id }
    end(database, triggers, { kind: "completed", result, ...turn }, atMs)
    end(database, context, { kind: "completed", result: null }, atMs)
  })
}

const answerOf = (text: string, batch: Batch): OutboundMessage =>
  messageFrom({ kind: "chat", content: textContent(text), to: null, deliverAfter: null }, batch)

/** A turn replies to the oldest message that it answers. */
const messageFrom = ({ to, ...row }: Draft, batch: Batch): OutboundMessage => ({
  ...(to ?? batch.answerTo),
  ...row,
  id: newOutboundId(),
  inReplyTo: batch.triggers[0]?.id ?? null,
})
