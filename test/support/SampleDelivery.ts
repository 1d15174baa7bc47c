/** A delivery for tests of channels: valid, and changed field by field. */
import { Schema } from "effect"
import { Delivery } from "../../src/domain/Delivery.ts"

const decode = Schema.decodeUnknownSync(Delivery)

export const sampleDelivery = (fields: Partial<typeof Delivery.Encoded> = {}): Delivery =>
  decode({
    id: "s1/out-1",
    sessionId: "s1",
    outboundId: "out-1",
    incarnation: 1,
    position: 1,
    seq: 1,
    inReplyTo: "m1",
    answers: [],
    hops: 0,
    kind: "chat",
    channelType: "hook",
    platformId: "alice",
    threadId: null,
    content: '{"text":"hello"}',
    lane: "lane",
    status: "pending",
    attempts: 0,
    firstAttemptAt: null,
    nextAttemptAt: 0,
    deliverAfter: null,
    lastError: null,
    refusal: null,
    detail: null,
    platformMessageId: null,
    revision: 1,
    createdAt: 1_700_000_000_123,
    endedAt: null,
    ...fields,
  })
