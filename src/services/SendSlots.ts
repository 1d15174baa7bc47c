/**
 * Who may be sent to at once. One session has a share of the slots, and so has one channel: a session that wrote ten thousand rows,
 * or a channel that hangs, holds up only itself.
 */
import type { Delivery } from "../domain/Delivery.ts"
import type { DeliveryId } from "../domain/Ids.ts"
import type { DeliveriesPassedOver } from "./LedgerDriver.ts"

const SLOTS = 32
const SESSION_SHARE = 4
const CHANNEL_SHARE = 16

/** Due rows that one look at the ledger returns. */
export const DUE_BATCH = 64
/** Looks of one filling: each passes over the sessions and channels that have their share. */
const MAX_LOOKS = 8

export interface Sends {
  readonly start: ReadonlyArray<Delivery>
  /** Seen, and without a slot. */
  readonly waiting: ReadonlyArray<Delivery>
}

export interface SendSlots {
  /** Who may have a slot now. Changes nothing: it may be asked twice on the same reads. */
  readonly plan: (dueBeside: (passedOver: DeliveriesPassedOver) => ReadonlyArray<Delivery>) => Sends
  readonly take: (sends: Sends) => void
  /** Gives a slot back. The row that has it now, if one waits. */
  readonly free: (row: Delivery) => Delivery | undefined
}

export const makeSendSlots = (): SendSlots => {
  const sending = new Map<DeliveryId, Delivery>()
  let waiting: ReadonlyArray<Delivery> = []
  return {
    plan: (dueBeside) => planSends([...sending.values()], dueBeside),
    take: (sends) => {
      for (const row of sends.start) sending.set(row.id, row)
      waiting = sends.waiting
    },
    free: (row) => {
      sending.delete(row.id)
      const others = [...sending.values()]
      const [next] = waiting
        .filter((each) => hasRoom(others, each))
        .toSorted((one, other) => ofSession(others, one) - ofSession(others, other))
      waiting = waiting.filter((each) => each !== next)
      if (next !== undefined) sending.set(next.id, next)
      return next
    },
  }
}

const planSends = (
  sending: ReadonlyArray<Delivery>,
  dueBeside: (passedOver: DeliveriesPassedOver) => ReadonlyArray<Delivery>,
): Sends => {
  const taken = [...sending]
  const seen = new Set(sending.map(({ id }) => id))
  const waiting: Array<Delivery> = []
  let passedOver = ""
  for (let look = 0; look < MAX_LOOKS && taken.length < SLOTS; look++) {
    const question = fullShares(taken)
    // The same question again has the same answer.
    if (look > 0 && JSON.stringify(question) === passedOver) break
    passedOver = JSON.stringify(question)
    const rows = dueBeside(question)
    for (const row of rows) {
      if (seen.has(row.id)) continue
      seen.add(row.id)
      if (hasRoom(taken, row)) taken.push(row)
      else waiting.push(row)
    }
    if (rows.length < DUE_BATCH) break
  }
  return { start: taken.slice(sending.length), waiting }
}

const ofSession = (taken: ReadonlyArray<Delivery>, { sessionId }: Delivery): number =>
  taken.filter((each) => each.sessionId === sessionId).length

const ofChannel = (taken: ReadonlyArray<Delivery>, { channelType }: Delivery): number =>
  taken.filter((each) => each.channelType === channelType).length

const hasRoom = (taken: ReadonlyArray<Delivery>, row: Delivery): boolean =>
  taken.length < SLOTS && ofSession(taken, row) < SESSION_SHARE && ofChannel(taken, row) < CHANNEL_SHARE

const fullShares = (taken: ReadonlyArray<Delivery>): DeliveriesPassedOver => ({
  sessions: [
    ...new Set(taken.filter((row) => ofSession(taken, row) >= SESSION_SHARE).map((row) => row.sessionId)),
  ],
  channels: [
    ...new Set(
      taken
        .filter((row) => ofChannel(taken, row) >= CHANNEL_SHARE)
        .flatMap(({ channelType }) => channelType ?? []),
    ),
  ],
})
