/**
 * Mutations of outbound.db, as bytes and field by field, through the real reader processes into a real ledger. The seed is printed:
 * LAMPLIGHTER_FUZZ_SEED repeats a run, LAMPLIGHTER_FUZZ_COUNT sets its length (CI: 20 000).
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { addSessions, GROUP, onHost, sessionId } from "../../bench/Host.ts"
import { Delivery } from "../../src/domain/Delivery.ts"
import { MessageId } from "../../src/domain/Ids.ts"
import { OutboundLimits } from "../../src/layers/outbound/OutboundLimits.ts"
import { plainDraft } from "../../src/services/ledger/Accept.ts"
import { Mailbox, type Pair, type Reading } from "../../src/services/Mailbox.ts"
import { Operations } from "../../src/services/Operations.ts"
import { SessionStore } from "../../src/services/SessionStore.ts"
import { onBesiegedHost } from "./BesiegedHost.ts"
import { mutateFields, VICTIM } from "./FieldMutation.ts"
import { hostile } from "./HostileCase.ts"
import { mutateImage } from "./ImageMutation.ts"
import { GOOD_ROWS, honestImage } from "./OutboundFile.ts"
import { fuzzSettings, randomOf } from "./Random.ts"

const { count, seed } = fuzzSettings(1_200)
const FIELDS_PER_FILE = 20
/** One session each, attacked side by side, as many as there are readers and one more. */
const WORKERS = 3
/** Mutants that a whole host meets afterwards. */
const SHOWN = 6
const EVERY = 200

const ID = /^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$/

/** Bytes that are no UTF-8 become a character of three bytes each. */
const bytesOf = (text: string): number => Buffer.byteLength(text.replaceAll("\ufffd", "?"))

const assertBounded = (reading: Reading): void => {
  assert.isAtMost(reading.outbound.length, OutboundLimits.outbound)
  assert.isAtMost(reading.acks.length, OutboundLimits.acks)
  assert.isAtMost(reading.sessionState.length, OutboundLimits.stateRows)
  assert.isAtMost(reading.rejected.length, OutboundLimits.rejected + 1)
  for (const row of reading.outbound) {
    assert.match(row.id, ID)
    assert.isTrue(row.seq === null || (Number.isSafeInteger(row.seq) && row.seq > 0))
    assert.isTrue(row.inReplyTo === null || ID.test(row.inReplyTo))
    for (const instant of [row.timestamp, row.deliverAfter])
      assert.isTrue(instant === null || (Number.isSafeInteger(instant) && instant >= 0))
    assert.isAtMost(bytesOf(row.content), OutboundLimits.contentBytes)
    assert.isAtMost(bytesOf(row.kind), OutboundLimits.wordBytes)
    JSON.parse(row.content)
  }
  for (const ack of reading.acks) {
    assert.match(ack.messageId, ID)
    assert.include(["processing", "completed", "failed"], ack.status)
    assert.isTrue(ack.tries === null || (Number.isSafeInteger(ack.tries) && ack.tries >= 0))
    assert.isAtMost(ack.detail.error?.length ?? 0, OutboundLimits.errorChars + 1)
    assert.isAtMost(ack.detail.result?.length ?? 0, OutboundLimits.resultChars + 1)
  }
  const timeoutMs = reading.tool?.declaredTimeoutMs ?? null
  assert.isTrue(timeoutMs === null || (Number.isSafeInteger(timeoutMs) && timeoutMs >= 0))
}

interface Mutant {
  readonly image: Buffer
  readonly journal: Buffer | null
  readonly how: string
  readonly mutations: number
  /** The honest rows beside what was mutated have to be there. */
  readonly keepsHonest: boolean
}

/** The first half of the numbers are fields, many to a file; the second half are files. */
const mutantOf = (index: number): Mutant => {
  const random = randomOf(seed, index)
  if (index >= count / 2) return { ...mutateImage(random), mutations: 1, keepsHonest: false }
  const { image, written } = mutateFields(random, FIELDS_PER_FILE, index)
  return { image, journal: null, how: "fields", mutations: written, keepsHonest: true }
}

/** Numbers of the files of one worker. */
const share = (worker: number): ReadonlyArray<number> => {
  const indices: Array<number> = []
  for (let index = 0; index < count; index += index < count / 2 ? FIELDS_PER_FILE : 1) indices.push(index)
  return indices.filter((_, position) => position % WORKERS === worker)
}

class Tally {
  readonly verdicts = new Map<string, number>()
  mutations = 0
  slowestMs = 0
  readonly quarantined: Array<Mutant> = []

  note(verdict: string, mutant: Mutant, tookMs: number): void {
    this.verdicts.set(verdict, (this.verdicts.get(verdict) ?? 0) + 1)
    this.mutations += mutant.mutations
    this.slowestMs = Math.max(this.slowestMs, tookMs)
    if (verdict === "set aside" && mutant.journal === null) this.quarantined.push(mutant)
  }

  toString(): string {
    const all = [...this.verdicts].sort().map(([verdict, times]) => `${verdict} ${times}`)
    return `${this.mutations} mutations in ${[...this.verdicts.values()].reduce((sum, n) => sum + n, 0)} files: ${all.join(", ")}; the slowest took ${this.slowestMs.toFixed(0)} ms`
  }
}

const plant = (outDir: string, mutant: Pick<Mutant, "image" | "journal">): void => {
  const file = path.join(outDir, "outbound.db")
  fs.writeFileSync(file, mutant.image)
  fs.rmSync(`${file}-journal`, { force: true })
  if (mutant.journal !== null) fs.writeFileSync(`${file}-journal`, mutant.journal)
}

const VICTIM_SESSION = sessionId(0)

const victimAsItStands = SessionStore.use((store) =>
  store.read((reader) => ({
    session: reader.session(VICTIM_SESSION),
    message: reader.message(MessageId.make(VICTIM.message)),
    series: reader.seriesList({ sessionId: VICTIM_SESSION }, { limit: 1 })[0],
    attempts: reader.attempts(MessageId.make(VICTIM.message), 10),
  })),
)

const addVictim = Effect.gen(function* () {
  const store = yield* SessionStore
  yield* store.accept(
    VICTIM_SESSION,
    plainDraft({
      id: MessageId.make(VICTIM.message),
      kind: "chat",
      content: `{"text":"hello"}`,
      dueAt: Date.now(),
    }),
  )
  const task = {
    action: "schedule_task",
    taskId: VICTIM.task,
    prompt: "tick",
    processAfter: null,
    recurrence: "0 9 * * *",
  }
  yield* ingestAs(VICTIM_SESSION, {
    acks: [],
    outbound: [
      {
        id: "task" as never,
        seq: null,
        inReplyTo: null,
        timestamp: null,
        deliverAfter: null,
        recurrence: null,
        kind: "system",
        channelType: null,
        platformId: null,
        threadId: null,
        content: JSON.stringify(task),
      },
    ],
    tool: null,
    sessionState: [],
    rejected: [],
    outgrown: false,
    newestAt: null,
  })
})

const ingestAs = Effect.fnUntraced(function* (id: typeof VICTIM_SESSION, reading: Reading) {
  const store = yield* SessionStore
  const live = yield* store.read((reader) => {
    const session = reader.session(id)
    return session === undefined ? undefined : reader.incarnation(id, session.incarnation)
  })
  if (live !== undefined) yield* store.ingest(live, reading)
})

describe("mutations of what a container controls", () => {
  it.live(
    `${count} mutations, seed ${seed}: each is read, refused or set aside; nobody else notices`,
    () =>
      Effect.promise(async () => {
        process.stdout.write(`fuzz: LAMPLIGHTER_FUZZ_SEED=${seed} LAMPLIGHTER_FUZZ_COUNT=${count}\n`)
        const tally = new Tally()
        const at = { index: -1, how: "" }
        await onHost(() =>
          Effect.gen(function* () {
            const store = yield* SessionStore
            const mailbox = yield* Mailbox
            const operations = yield* Operations
            yield* addSessions(WORKERS + 1)
            const pairs: Array<Pair> = []
            for (let n = 0; n <= WORKERS; n++) {
              const { incarnation } = yield* store.beginIncarnation(sessionId(n), "operator", "bench")
              const pair = { groupId: GROUP, sessionId: sessionId(n), incarnation: incarnation.number }
              pairs.push(pair)
              yield* mailbox.create(pair, { sessionState: [], outbound: [], createdAt: 0 })
            }
            yield* addVictim
            const [honest, ...attacked] = pairs as [Pair, ...Array<Pair>]
            const honestFile = path.join(mailbox.paths(honest).outDir, "outbound.db")
            fs.writeFileSync(honestFile, honestImage())
            const before = yield* victimAsItStands
            assert.isDefined(before.series)

            const readHonest = Effect.gen(function* () {
              const reading = yield* patiently(mailbox.read(honest, { seen: new Set(), mode: "live" }))
              assert.deepStrictEqual(
                reading.outbound.map(({ id }) => String(id)),
                [...GOOD_ROWS],
              )
            })

            const meet = (pair: Pair, index: number) =>
              Effect.gen(function* () {
                const mutant = mutantOf(index)
                Object.assign(at, { index, how: mutant.how })
                plant(mailbox.paths(pair).outDir, mutant)
                const began = performance.now()
                const mode = randomOf(seed, -index - 1).once(3) ? "final" : "live"
                const ended = yield* patiently(mailbox.read(pair, { seen: new Set(), mode })).pipe(
                  Effect.map((reading) => ({ verdict: "read", why: "", reading })),
                  Effect.catchTag("Quarantined", ({ reason }) =>
                    Effect.succeed({ verdict: "set aside", why: reason, reading: null }),
                  ),
                  Effect.catchTag("Unreadable", ({ message }) =>
                    Effect.succeed({ verdict: "not now", why: message, reading: null }),
                  ),
                )
                tally.note(ended.verdict, mutant, performance.now() - began)
                if (ended.reading === null) {
                  assert.isFalse(mutant.keepsHonest, `honest rows are lost: ${ended.why}`)
                  assert.isAbove(ended.why.length, 20)
                  return
                }
                assertBounded(ended.reading)
                if (mutant.keepsHonest)
                  assert.includeMembers(
                    ended.reading.outbound.map(({ id }) => String(id)),
                    [...GOOD_ROWS],
                  )
                yield* ingestAs(pair.sessionId, ended.reading)
              })

            yield* Effect.forEach(
              attacked,
              (pair, worker) =>
                Effect.forEach(
                  share(worker),
                  (index) =>
                    Effect.andThen(meet(pair, index), index % EVERY === 0 ? readHonest : Effect.void),
                  { discard: true },
                ),
              { concurrency: "unbounded", discard: true },
            ).pipe(
              Effect.tapCause(() =>
                Effect.sync(() =>
                  process.stdout.write(`fuzz: seed ${seed}, near number ${at.index} (${at.how})\n`),
                ),
              ),
            )

            yield* readHonest
            assert.deepStrictEqual(yield* victimAsItStands, before)
            assert.isTrue(fs.readFileSync(honestFile).equals(honestImage()))
            // What came through can be shown to an operator.
            const encode = Schema.encodeUnknownSync(Delivery)
            for (let n = 1; n <= WORKERS; n++)
              for (const delivery of yield* operations.deliveries({
                sessionId: sessionId(n),
                limit: 1_000,
              } as never))
                JSON.stringify(encode(delivery))
            assert.strictEqual((yield* operations.status()).quarantined.length, 0)
          }),
        )
        process.stdout.write(`fuzz: ${tally.toString()}\n`)
        assert.isAtLeast(tally.mutations, count * 0.5)
        assert.isAbove(tally.verdicts.get("read") ?? 0, 0)
        assert.isAbove(tally.quarantined.length, 0)

        const shown = tally.quarantined.slice(0, SHOWN)
        await onBesiegedHost(
          shown.map((mutant, index) =>
            hostile(`mutant ${index}: ${mutant.how}`, "set aside", ({ outDir }) => plant(outDir, mutant)),
          ),
          ({ attackers, plant: attack, honestTurn, session, until }) =>
            Effect.gen(function* () {
              const operations = yield* Operations
              yield* attack
              yield* honestTurn
              for (const { id, one } of attackers) {
                const found = yield* until("set aside", id, ({ status }) => status === "quarantined")
                assert.isAbove(found.statusReason?.length ?? 0, 20, one.name)
                yield* until(
                  "dead, and read in vain",
                  id,
                  ({ statusReason }) => statusReason?.startsWith("its last files") === true,
                )
                yield* operations.controlSession({ id: id, what: "release" })
                yield* until("released", id, ({ live, status }) => status === "active" && !live)
                const { incarnation } = yield* session(id)
                yield* operations.controlSession({ id: id, what: "wake" })
                yield* until("alive again", id, (now) => now.live && now.incarnation > incarnation)
              }
              yield* honestTurn
            }),
        )
      }),
    600_000,
  )
})

/** A reading that is under way is asked for again; on a busy machine many are. */
const patiently = <E extends { readonly _tag: string }, R>(
  read: Effect.Effect<Reading, E, R>,
): Effect.Effect<Reading, E, R> =>
  Effect.catchIf(
    read,
    (error) => "underWay" in error && error.underWay === true,
    () =>
      Effect.andThen(
        Effect.sleep(5),
        Effect.suspend(() => patiently(read)),
      ),
  )
