/**
 * Rules broken on purpose that the simulation has to notice by itself: it looks at whole timelines, and knows the invariants only.
 */
import type { Sabotage } from "./Sabotage.ts"

const broken = (name: string, rule: string, file: string, from: string, to: string): Sabotage => ({
  name,
  rule,
  file,
  from,
  to,
  tests: "simulation",
})

const LOOK = "src/services/sweep/Look.ts"
const STUCK = "src/domain/StuckAction.ts"
const RETRY = "src/domain/Retry.ts"
const SLOTS = "src/domain/SlotDecision.ts"
const INGEST = "src/services/ledger/Ingest.ts"
const FIRING = "src/services/ledger/Slots.ts"
const SERIES = "src/services/ledger/SeriesTransitions.ts"
const FINISH = "src/services/ledger/Finish.ts"
const ENDING = "src/services/ledger/EndIncarnation.ts"
const DELIVERIES = "src/services/ledger/Deliveries.ts"
const UNIT = "src/services/ledger/SessionUnit.ts"

export const simulated: ReadonlyArray<Sabotage> = [
  broken(
    "same words or not",
    "1: the same id with other content is a conflict",
    "src/services/ledger/Accept.ts",
    " && existing.kind === draft.kind && existing.content === draft.content",
    "",
  ),
  broken(
    "nothing expires",
    "1: what is past its time to live is never shown",
    "src/services/ledger/Accept.ts",
    "tx.expired(context.now, limit)",
    "tx.expired(0, limit)",
  ),
  broken(
    "late acks change the end",
    "1: terminal is final",
    INGEST,
    "    recordLate(unit, incarnation, before, ack)\n    return UNCHANGED\n  }\n",
    "  }\n",
  ),
  broken(
    "sent and not marked",
    "2: what was answered is not sent again",
    "src/domain/Delivery.ts",
    `    send: "delivered",`,
    `    send: "pending",`,
  ),
  broken(
    "order in a lane",
    "2: order holds per session and destination",
    DELIVERIES,
    "  tx.laneOf(lane, 1).length === 0 ? now : null",
    "  tx.laneOf(lane, 1).length >= 0 ? now : null",
  ),
  broken(
    "sent for ever",
    "2: after its last attempt a delivery is dead",
    "src/domain/DeliveryRetry.ts",
    "if (attempts >= policy.deliveryLimit)",
    "if (attempts > policy.deliveryLimit + 2)",
  ),
  broken(
    "a channel is not left alone",
    "2: a wait that the channel asked for is kept",
    "src/domain/DeliveryRetry.ts",
    "Math.max(backoff, asked)",
    "backoff",
  ),
  broken(
    "a dead delivery blocks its lane",
    "2: behind a dead delivery the next proceeds",
    DELIVERIES,
    "  promoteLane(unit.tx, ended.lane, unit.context.now)",
    `  if (event._tag === "send") promoteLane(unit.tx, ended.lane, unit.context.now)`,
  ),
  broken(
    "more than the host allows",
    "3: no more containers than the host allows",
    "src/domain/WakeAdmission.ts",
    "input.liveTotal + started >= input.maxContainers",
    "input.liveTotal > input.maxContainers",
  ),
  broken(
    "retried at once",
    "4: no retry before its backoff",
    RETRY,
    "dueAt: Math.min(end.at + backoff, MAX_EPOCH_MS)",
    "dueAt: end.at",
  ),
  broken(
    "one retry too many",
    "4: five retries, six executions",
    RETRY,
    "if (tries > policy.retryLimit)",
    "if (tries > policy.retryLimit + 1)",
  ),
  broken(
    "a crash is free",
    "4: a message that crashes its container pays a try",
    RETRY,
    `    case "crashed":\n    case "stuck":\n      return true\n`,
    `    case "stuck":\n      return true\n    case "crashed":\n`,
  ),
  broken(
    "a stop by the host costs a try",
    "4: host and infrastructure faults cost no try",
    RETRY,
    `    case "stuck":\n      return true\n`,
    `    case "stuck":\n    case "host-stopped":\n      return true\n`,
  ),
  broken(
    "a reboot costs a try",
    "4: what the host did is paid by nobody",
    ENDING,
    `exit.manner === "gone" || exit.stoppedBy === "engine"`,
    "exit.exitCode === -1",
  ),
  broken(
    "a hang is free",
    "4: a claim given back by a container that is stopped as stuck costs its try",
    INGEST,
    "  if (reading.outgrown || isStuck(incarnation.stopReason)) return 0\n",
    "  if (reading.outgrown) return 0\n",
  ),
  broken(
    "not retryable is retried",
    "4: an agent's 'not retryable' is final",
    RETRY,
    `  if (!end.retryable) return { _tag: "Fail", tries, reason: "not-retryable" }\n`,
    "",
  ),
  broken(
    "suspects in company",
    "4: a message whose container died runs alone",
    "src/domain/Suspects.ts",
    "  if (turn?.suspect === true) {",
    "  if (turn?.suspect === true && open.length > 1_000) {",
  ),
  broken(
    "a crash loop without a pause",
    "4: a session whose container dies before it claims backs off",
    ENDING,
    "if (!incarnation.claimed && waited > 0 && countsAsFailedWake(reason)) {",
    "if (incarnation.claimed && waited > 0 && countsAsFailedWake(reason)) {",
  ),
  broken(
    "the same slot twice",
    "5: the next slot is later than the last one dealt with",
    SLOTS,
    "nextSlotOf(series, Math.max(now, lastSlot))",
    "nextSlotOf(series, due - 1)",
  ),
  broken(
    "overlap ignored",
    "5: a slot is skipped while the last occurrence has not ended",
    SLOTS,
    "const isFree = running + buffered === 0\n",
    "const isFree = running + buffered < 1_000\n",
  ),
  broken(
    "missed and not told",
    "5: a slot that did not run has a record with the reason",
    FIRING,
    "  if (decision.missed !== null) {",
    "  if (decision.missed !== null && decision.missed.count > 1_000) {",
  ),
  broken(
    "runs without end",
    "5: a series with a number of runs has no more",
    SLOTS,
    "series.bounds.maxRuns === null ? Infinity :",
    "series.bounds.maxRuns !== null ? Infinity :",
  ),
  broken(
    "failures in a row",
    "5: a series pauses itself after so many failures in a row",
    FINISH,
    "failuresInRow >= pauseAfterFailures",
    "failuresInRow > pauseAfterFailures + 1",
  ),
  broken(
    "a paused task fires",
    "5: a paused series fires nothing until it is resumed",
    SERIES,
    `moveSeries(unit, series, "pause", { note,`,
    `moveSeries(unit, series, "cancel", { note,`,
  ),
  broken(
    "a run without end",
    "5: a run that takes longer than its task allows is cancelled",
    LOOK,
    "  if (member?.standing?.overdueAt == null ||",
    "  if (member?.standing?.overdueAt != null ||",
  ),
  broken(
    "the kill after the grace",
    "6: SIGTERM, grace, SIGKILL",
    "src/domain/SweepPlan.ts",
    "    return now > killAt\n",
    "    return now > killAt + 86_400_000\n",
  ),
  broken(
    "no grace",
    "6: SIGTERM, grace, SIGKILL",
    "src/domain/SweepPlan.ts",
    "    const killAt = life.signalledAt + policy.graceMs\n",
    "    const killAt = life.signalledAt\n",
  ),
  broken(
    "silence after a claim",
    "6: silence after a claim is a hang",
    STUCK,
    '    if (now > limit) {\n      return {\n        _tag: "KillClaim",',
    '    if (now > limit + 86_400_000) {\n      return {\n        _tag: "KillClaim",',
  ),
  broken(
    "silence of the whole",
    "6: a container without a heartbeat for the ceiling is stuck",
    STUCK,
    `    if (now > limit) return { _tag: "KillCeiling"`,
    `    if (now > limit + 86_400_000) return { _tag: "KillCeiling"`,
  ),
  broken(
    "never begun",
    "6: a container that shows no life is stopped",
    STUCK,
    `    if (now > limit) return { _tag: "KillStartup"`,
    `    if (now > limit + 86_400_000) return { _tag: "KillStartup"`,
  ),
  broken(
    "claims outlive a heartbeat",
    "6: a heartbeat after the claim means alive",
    STUCK,
    "    if (heartbeatAt !== null && heartbeatAt > earliestClaim(claim)) continue\n",
    "",
  ),
  broken(
    "declared timeout ignored",
    "6: a tool in flight may declare how long it is silent",
    STUCK,
    "declaredMs === null || !(declaredMs > 0) ? 0 : Math.min(declaredMs, policy.declaredTimeoutCapMs)",
    "declaredMs === null ? 0 : 0",
  ),
  broken(
    "many probes",
    "6: an engine that is down gets one probe at a time",
    "src/domain/WakeAdmission.ts",
    `(input.breaker === "probe" && started >= 1)`,
    `(input.breaker === "probe" && started >= 100)`,
  ),
  broken(
    "idle before it began",
    "6: who was shown work and is still starting is not idle",
    "src/domain/SweepPlan.ts",
    `due || (shown && isStarting) ? "due"`,
    `due ? "due"`,
  ),
  broken(
    "a full disk sets sessions aside",
    "7: one session is set aside for its own trouble only",
    "src/services/sweep/Boundary.ts",
    `part._tag === "Fail" && part.error instanceof LedgerError`,
    `part._tag === "Die" && part.defect instanceof LedgerError`,
  ),
  broken(
    "any destination",
    "10: a container reaches its own conversation and its group's destinations",
    "src/services/ledger/Deliveries.ts",
    "  return configured ||\n",
    "  return channelType !== null ||\n",
  ),
  broken(
    "tasks of others",
    "10: an agent changes the tasks of its own session only",
    "src/services/ledger/FindSeries.ts",
    "  return found?.sessionId === sessionId ? found : undefined",
    "  return found",
  ),
  broken(
    "acks for others",
    "10: an ack counts only for the session's own messages",
    INGEST,
    "before === undefined || before.sessionId !== incarnation.sessionId",
    "before === undefined",
  ),
  broken(
    "held back for ever",
    "11: what waits for another run goes when that has ended",
    FINISH,
    "  if (running > 0 || next === undefined) return\n",
    "  if (running >= 0 || next === undefined) return\n",
  ),
  broken(
    "sessions that stay",
    "11: the session of an isolated run goes after its time",
    FINISH,
    "expiresAt: unit.context.now + series.policy.isolatedRetentionMs",
    "expiresAt: unit.context.now + series.policy.isolatedRetentionMs + 86_400_000_000",
  ),
  broken(
    "a wake-up too late",
    "11: whatever is due has a wake-up at its time",
    UNIT,
    "session.live ? due.dueAt : Math.max(due.dueAt, session.wakeNotBefore)",
    "session.live ? due.dueAt : Math.max(due.dueAt + 600_000, session.wakeNotBefore)",
  ),
  broken(
    "a ledger that writes no more",
    "12: after a commit that nobody can vouch for the daemon ends, and another one goes on",
    "src/services/SessionStore.ts",
    `error.reason === "Uncertain" || error.reason === "Closed"`,
    `error.reason === "Corrupt"`,
  ),
  broken(
    "what its container left",
    "12: what a dead container did not end goes back to the queue",
    ENDING,
    "  const waited = unadmit(unit, number)\n",
    "  const waited = 0 * number\n",
  ),
]
