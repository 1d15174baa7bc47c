/**
 * All hostile sessions of a class at once on one host: the daemon lives, an honest session beside them is served all the time, whoever
 * is set aside is reported with the reason, and an operator's release gives it a fresh life.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import type { Session } from "../../src/domain/Session.ts"
import { DeliveryId } from "../../src/domain/Ids.ts"
import { sessionId } from "../../bench/Host.ts"
import { SessionStore } from "../../src/services/SessionStore.ts"
import { hostile } from "./HostileCase.ts"
import { execute, rows } from "./OutboundFile.ts"
import { Operations } from "../../src/services/Operations.ts"
import { onBesiegedHost } from "./BesiegedHost.ts"
import { corpus } from "./Corpus.ts"
import { patience } from "../support/Patience.ts"

const TURNS = 10
/** Two for everybody, one for files that did not come to an end, and one that was killed and is not gone yet. */
const MOST_READERS = 4

/** Its container is dead too, and its last files were no better: only an operator can go on from here. */
const givenUp = ({ statusReason }: Session): boolean => statusReason?.startsWith("its last files") === true

const readers = (): number =>
  fs.readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false
    try {
      const parent = /^PPid:\s+(\d+)$/m.exec(fs.readFileSync(`/proc/${name}/status`, "utf8"))?.[1]
      return (
        Number(parent) === process.pid &&
        fs.readFileSync(`/proc/${name}/cmdline`, "utf8").includes("ReaderMain")
      )
    } catch {
      return false
    }
  }).length

const chatty = hostile("three thousand rows at once", "read", ({ outbound }) =>
  execute(outbound, rows(3_000, {})),
)

describe("a host whose sessions are hostile", () => {
  it.live(
    "takes thousands of rows over several looks, each once, and loses none",
    () =>
      Effect.promise(() =>
        onBesiegedHost([chatty], ({ attackers: [attacker], honestTurn, plant }) =>
          Effect.gen(function* () {
            const store = yield* SessionStore
            const id = attacker?.id ?? sessionId(1)
            const known = (n: number) =>
              store.read((reader) => reader.delivery(DeliveryId.make(`${id}/row-${n}`)) !== undefined)
            yield* plant
            const deadline = performance.now() + patience(30_000)
            while (!(yield* known(2_999)) && performance.now() < deadline) yield* honestTurn
            for (const n of [0, 1, 999, 1_000, 1_001, 2_998, 2_999])
              assert.isTrue(yield* known(n), `row ${n}`)
            assert.isFalse(yield* known(3_000))
          }),
        ),
      ),
    60_000,
  )

  for (const [name, cases] of Object.entries(corpus))
    it.live(
      `all hostile ${name} at once`,
      () =>
        Effect.promise(() =>
          onBesiegedHost(cases, ({ attackers, besiege, plant: attack, honestTurn, session, until }) =>
            Effect.gen(function* () {
              const operations = yield* Operations
              const turns: Array<number> = []
              let mostReaders = 0
              yield* honestTurn
              yield* besiege
              yield* attack
              for (let turn = 0; turn < TURNS; turn++) {
                turns.push(yield* honestTurn)
                mostReaders = Math.max(mostReaders, readers())
              }
              assert.isAtMost(mostReaders, MOST_READERS)
              const mayBeSetAside = attackers.filter(({ one }) => [one.live].flat().includes("set aside"))
              const mustBeSetAside = mayBeSetAside.filter(({ one }) => one.live === "set aside")
              for (const { id, one } of mustBeSetAside) {
                const found = yield* until("set aside", id, ({ status }) => status === "quarantined")
                assert.isAbove(found.statusReason?.length ?? 0, 20, one.name)
              }
              const status = yield* operations.status()
              assert.includeMembers(
                status.quarantined.map(({ id }) => id),
                mustBeSetAside.map(({ id }) => id),
              )
              for (const { id, one } of attackers)
                if (!mayBeSetAside.some((other) => other.id === id)) {
                  const { status: stands, statusReason } = yield* session(id)
                  // A machine that does much else at the same time may not get through the largest in time.
                  const tooBusy = statusReason?.includes("took longer than") === true
                  assert.isTrue(stands === "active" || tooBusy, `${one.name}: ${statusReason}`)
                }
              assert.strictEqual((yield* session("s0" as never)).status, "active")
              for (const { id } of mustBeSetAside.slice(0, 5)) {
                yield* until("read for the last time", id, givenUp)
                const { incarnation } = yield* session(id)
                yield* operations.controlSession({ id: id, what: "release" })
                yield* until("released", id, (found) => found.status === "active" && !found.live)
                yield* operations.controlSession({ id: id, what: "wake" })
                yield* until("alive again", id, (found) => found.live && found.incarnation > incarnation)
              }
              yield* honestTurn
              process.stdout.write(
                `all hostile ${name} at once: the honest session's turns took ${turns.map((ms) => ms.toFixed(0)).join(", ")} ms\n`,
              )
            }),
          ),
        ),
      120_000,
    )
})
