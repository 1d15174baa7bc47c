/**
 * The corpus on the real reader: each hostile file ends as a reading, as unreadable for now or as quarantined, within the two deadlines;
 * another session's file is read in the meantime as if nothing were, and nothing outside of the session changes.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll } from "vitest"
import * as SqliteMailbox from "../../src/layers/exchange/SqliteMailbox.ts"
import { Mailbox, type Reading } from "../../src/services/Mailbox.ts"
import { nothingCarried, pairOf } from "../contract/Mailbox.contract.ts"
import { corpus } from "./Corpus.ts"
import type { HostileCase, Verdict } from "./HostileCase.ts"
import { GOOD_ROWS, honestImage, placeIn } from "./OutboundFile.ts"

interface Ended {
  readonly verdict: Verdict
  readonly why: string
  readonly reading: Reading | null
  readonly tookMs: number
}

const read = (session: string, mode: "live" | "final") =>
  Effect.gen(function* () {
    const mailbox = yield* Mailbox
    const began = performance.now()
    const ended = yield* mailbox.read(pairOf(1, session), { seen: new Set(), mode }).pipe(
      Effect.map((reading) => ({ verdict: "read" as const, why: "", reading })),
      Effect.catchTag("Quarantined", ({ reason }) =>
        Effect.succeed({ verdict: "set aside" as const, why: reason, reading: null }),
      ),
      Effect.catchTag("Unreadable", ({ message }) =>
        Effect.succeed({ verdict: "not now" as const, why: message, reading: null }),
      ),
    )
    return { ...ended, tookMs: performance.now() - began } satisfies Ended
  })

const told: Array<string> = []
afterAll(
  () =>
    void process.stdout.write(`hostile sessions: what became of them, and after how long\n${told.join("")}`),
)

const line = (name: string, live: Ended, dead: Ended): string =>
  `  ${name.padEnd(56)} ${live.verdict.padEnd(9)} ${live.tookMs.toFixed(0).padStart(5)} ms   dead: ${dead.verdict.padEnd(9)} ${dead.tookMs.toFixed(0).padStart(5)} ms   ${(dead.why || live.why).split("\n")[0]?.slice(0, 100)}\n`

/** Contents of every file and link below, by path. */
const picture = (directory: string): ReadonlyArray<string> =>
  fs
    .readdirSync(directory, { recursive: true, encoding: "utf8" })
    .sort()
    .map((name) => {
      const file = path.join(directory, name)
      return fs.lstatSync(file).isFile() ? `${name}: ${fs.readFileSync(file).toString("base64")}` : name
    })

const temporary = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-corpus-"))),
  (made) => Effect.sync(() => fs.rmSync(made, { recursive: true, force: true })),
)

const attack = (one: HostileCase, session: string) =>
  Effect.gen(function* () {
    const elsewhere = yield* temporary
    fs.writeFileSync(path.join(elsewhere, "secret"), "secret")
    const mailbox = yield* Mailbox
    const [attacker, neighbour] = [`${session}-hostile`, `${session}-honest`]
    for (const id of [attacker, neighbour]) {
      yield* mailbox.create(pairOf(1, id), nothingCarried)
      fs.writeFileSync(path.join(mailbox.paths(pairOf(1, id)).outDir, "outbound.db"), honestImage())
    }
    const { inDir, outDir } = mailbox.paths(pairOf(1, attacker))
    const place = placeIn(outDir, elsewhere)
    one.plant(place)
    const outside = [picture(elsewhere), picture(inDir)]
    const { besiege } = one
    const lift = besiege === undefined ? undefined : yield* Effect.promise(() => besiege(place))
    if (lift !== undefined) yield* Effect.addFinalizer(() => Effect.sync(lift))
    const [live, honest] = yield* Effect.all([read(attacker, "live"), read(neighbour, "live")], {
      concurrency: "unbounded",
    })
    const dead = yield* read(attacker, "final")
    lift?.()
    told.push(line(one.name, live, dead))
    for (const [ended, expected] of [
      [live, one.live],
      [dead, one.dead],
    ] as const) {
      assert.include([expected].flat(), ended.verdict, `${one.name}: ${ended.why}`)
      if (ended.reading !== null) one.check?.(ended.reading)
      if (ended.verdict !== "read") assert.isAbove(ended.why.length, 10)
    }
    assert.deepStrictEqual(
      honest.reading?.outbound.map(({ id }) => String(id)),
      [...GOOD_ROWS],
    )
    if (besiege === undefined) assert.deepStrictEqual([picture(elsewhere), picture(inDir)], outside)
  })

const mailbox = Layer.unwrap(
  Effect.map(temporary, (dataDir) => SqliteMailbox.layer({ dataDir, patienceMs: 60_000 })),
)

// The cases of a class share their readers: whoever kills one has the next case start another.
for (const [name, cases] of Object.entries(corpus))
  layer(mailbox, { excludeTestServices: true })(`hostile ${name}`, (it) => {
    for (const [index, one] of cases.entries()) it.effect(one.name, () => attack(one, `s${index}`))
  })
