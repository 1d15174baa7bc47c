/** The host's own words to an agent: messages of its session, under ids that no sender uses. */
import { MessageId } from "../../domain/Ids.ts"
import type { Message } from "../../domain/Message.ts"
import { insertDraft, plainDraft } from "./Accept.ts"
import type { SessionUnit } from "./SessionUnit.ts"

const PREFIX = "notice-"

export const isNotice = ({ id }: Pick<Message, "id">): boolean => id.startsWith(PREFIX)

/**
 * A `chat` message wakes the agent; `system` rides along with the next one that does. `sender` is a plain text: older runners take
 * nothing else.
 */
export const notifyAgent = (unit: SessionUnit, kind: "chat" | "system", text: string): void => {
  // An agent that asks faster than it reads is not answered for ever.
  if (unit.session().queued >= unit.policy.maxQueuedMessages) return
  insertDraft(
    unit,
    plainDraft({
      id: MessageId.make(`${PREFIX}${unit.session().id}-${unit.session().hostSeq + 2}`),
      kind,
      content: JSON.stringify(kind === "chat" ? { text, sender: "Lamplighter" } : { text }),
      dueAt: unit.context.now,
    }),
  )
}
