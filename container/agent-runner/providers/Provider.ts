/**
 * What answers a prompt. A provider reports its progress as it happens: the heartbeat follows nothing else, so one that is silent
 * for long declares a tool in flight with its timeout.
 */
import type { Address } from "../Inbox.ts"

export interface PromptMessage {
  readonly id: string
  /** What was said, without sender and time. */
  readonly text: string
}

export interface Prompt {
  /** What the agent reads: see Prompt.ts. */
  readonly text: string
  /** The messages to answer, oldest first, without context. */
  readonly messages: ReadonlyArray<PromptMessage>
  /** Tries that the first of them has spent: 0 the first time. */
  readonly attempt: number
}

/** A row that a provider sends while its turn still runs. Without an address it goes where the answer goes. */
export interface Draft {
  readonly kind: string
  /** JSON text. */
  readonly content: string
  readonly to: (Address & { readonly channelType: string }) | null
  readonly deliverAfter: string | null
}

export interface TurnContext {
  /** Aborted when the turn must end: what the provider started ends too. */
  readonly signal: AbortSignal
  /** Progress happened. */
  readonly beat: () => void
  readonly onTool: (name: string, timeoutMs: number | null) => Promise<void>
  readonly onToolEnd: () => Promise<void>
  /** Durable when it resolves; the host sees it at once. */
  readonly post: (draft: Draft) => Promise<void>
}

/** The work is the tool in flight for as long as it takes. */
export const asTool = async <A>(
  context: TurnContext,
  name: string,
  timeoutMs: number | null,
  work: () => Promise<A>,
): Promise<A> => {
  await context.onTool(name, timeoutMs)
  try {
    return await work()
  } finally {
    await context.onToolEnd()
  }
}

export interface Provider {
  readonly name: string
  /** The answer; an empty text sends none. Rejects with `ProviderError`; any other error counts as retryable. */
  readonly run: (prompt: Prompt, context: TurnContext) => Promise<{ readonly text: string }>
}

export class ProviderError extends Error {
  override readonly name = "ProviderError"
  /** Whether another try of the same messages can go better. */
  readonly retryable: boolean

  constructor(message: string, retryability: "retryable" | "final") {
    super(message)
    this.retryable = retryability === "retryable"
  }
}
