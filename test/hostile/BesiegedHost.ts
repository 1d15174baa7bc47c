/**
 * A whole host, with its real loops, ledger, exchange files and reader processes, on which some sessions are hostile and one is honest.
 * Only the containers are missing: what they would write is planted.
 */
import { Effect, type Scope } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import Database from "better-sqlite3"
import { addSessions, GROUP, type HostServices, message, onHost, sessionId } from "../../bench/Host.ts"
import type { SessionId } from "../../src/domain/Ids.ts"
import type { Session } from "../../src/domain/Session.ts"
import { daemon } from "../../src/services/Daemon.ts"
import { Mailbox, type Pair } from "../../src/services/Mailbox.ts"
import { Operations } from "../../src/services/Operations.ts"
import { SessionStore } from "../../src/services/SessionStore.ts"
import type { HostileCase } from "./HostileCase.ts"
import { honestImage, placeIn } from "./OutboundFile.ts"
import { patience } from "../support/Patience.ts"

const POLL_MS = 100
const PATIENCE_MS = patience(45_000)

/** One hostile session, and what it does. */
export interface Attacker {
  readonly id: SessionId
  readonly one: HostileCase
}

export interface BesiegedHost {
  readonly attackers: ReadonlyArray<Attacker>
  /** Lets those begin that go on while the host looks; each is a process. */
  readonly besiege: Effect.Effect<void, never, HostServices | Scope.Scope>
  /** Puts what the others made in its place, all at once. */
  readonly plant: Effect.Effect<void, never, HostServices>
  /** The honest session gets a message and its agent acks it; how long until the ledger knows, in ms. */
  readonly honestTurn: Effect.Effect<number, never, HostServices>
  readonly session: (id: SessionId) => Effect.Effect<Session, never, HostServices>
  readonly until: (
    what: string,
    id: SessionId,
    holds: (session: Session) => boolean,
  ) => Effect.Effect<Session, never, HostServices>
}

const HONEST = sessionId(0)

const pairOf = (session: Session): Pair => ({
  groupId: GROUP,
  sessionId: session.id,
  incarnation: session.incarnation,
})

/** Every case has a session of its own; sessions that are only honest fill up to `sessions`. */
export const onBesiegedHost = <A, E>(
  cases: ReadonlyArray<HostileCase>,
  use: (host: BesiegedHost) => Effect.Effect<A, E, HostServices | Scope.Scope>,
  sessions = cases.length + 1,
): Promise<A> =>
  onHost(({ dataDir, nudges }) =>
    Effect.gen(function* () {
      const elsewhere = path.join(dataDir, "elsewhere")
      fs.mkdirSync(elsewhere)
      fs.writeFileSync(path.join(elsewhere, "secret"), "secret")
      const attackers = cases.map((one, index): Attacker => ({ id: sessionId(index + 1), one }))
      const staged = attackers.map(({ one }, index) => {
        const directory = path.join(dataDir, `staged-${index}`)
        fs.mkdirSync(directory)
        fs.writeFileSync(path.join(directory, "outbound.db"), honestImage())
        one.plant(placeIn(directory, elsewhere))
        return directory
      })

      const mailbox = yield* Mailbox
      const operations = yield* Operations
      const outDirOf = (session: Session) => mailbox.paths(pairOf(session)).outDir

      const session: BesiegedHost["session"] = (id) =>
        SessionStore.use((store) => store.read((reader) => reader.session(id))).pipe(
          Effect.flatMap((found) =>
            found === undefined ? Effect.die(new Error(`no session ${id}`)) : Effect.succeed(found),
          ),
          Effect.orDie,
        )

      const until: BesiegedHost["until"] = (what, id, holds) =>
        Effect.gen(function* () {
          const began = performance.now()
          for (;;) {
            const found = yield* session(id)
            if (holds(found)) return found
            if (performance.now() - began > PATIENCE_MS)
              return yield* Effect.die(new Error(`${id}: not ${what}: ${JSON.stringify(found)}`))
            yield* Effect.sleep(10)
          }
        })

      yield* addSessions(sessions)
      yield* daemon({ sweepIntervalMs: 60_000, pollIntervalMs: POLL_MS, ...nudges }).pipe(Effect.forkScoped)
      for (let n = 0; n < sessions; n++) {
        const { id } = yield* session(sessionId(n))
        yield* operations.controlSession({ id: id, what: "wake" }).pipe(Effect.orDie)
        const { incarnation } = yield* until("running", id, ({ live }) => live)
        const outbound = path.join(
          mailbox.paths({ groupId: GROUP, sessionId: id, incarnation }).outDir,
          "outbound.db",
        )
        yield* Effect.promise(async () => {
          for (let tries = 0; !fs.existsSync(outbound) && tries < 1_000; tries++)
            await new Promise((resolve) => setTimeout(resolve, 5))
        })
      }

      const place = Effect.fnUntraced(function* ({ id }: Attacker, directory: string) {
        const outDir = outDirOf(yield* session(id))
        fs.rmSync(path.join(outDir, "outbound.db"))
        for (const name of fs.readdirSync(directory))
          fs.renameSync(path.join(directory, name), path.join(outDir, name))
        return placeIn(outDir, elsewhere)
      })

      const besiege = Effect.gen(function* () {
        for (const [index, attacker] of attackers.entries()) {
          const begin = attacker.one.besiege
          if (begin === undefined) continue
          const placed = yield* place(attacker, staged[index] ?? "")
          const lift = yield* Effect.promise(() => begin(placed))
          yield* Effect.addFinalizer(() => Effect.sync(lift))
        }
      })

      const plant = Effect.gen(function* () {
        for (const [index, attacker] of attackers.entries())
          if (attacker.one.besiege === undefined) yield* place(attacker, staged[index] ?? "")
      })

      const honestTurn = Effect.gen(function* () {
        const began = performance.now()
        const { message: accepted } = yield* message(0, Date.now()).pipe(Effect.orDie)
        yield* nudges.look.ring
        yield* until("shown", HONEST, ({ queued, wakeAt }) => queued > 0 && wakeAt === null)
        const outbound = new Database(path.join(outDirOf(yield* session(HONEST)), "outbound.db"))
        outbound.pragma("synchronous = OFF")
        outbound
          .prepare(
            "INSERT INTO processing_ack (message_id, status, status_changed) VALUES (?, 'completed', ?)",
          )
          .run(accepted.id, new Date().toISOString())
        outbound.close()
        // What its doorbell does: the next pass looks at this session, whenever the next poll is.
        yield* SessionStore.use((store) => Effect.sync(() => store.touched.session(HONEST)))
        yield* nudges.look.ring
        yield* until("done", HONEST, ({ queued }) => queued === 0)
        return performance.now() - began
      })

      return yield* use({ attackers, besiege, plant, honestTurn, session, until })
    }),
  )
