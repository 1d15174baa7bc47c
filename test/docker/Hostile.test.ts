/**
 * Agents that attack their host from inside real containers, all on one daemon beside an honest one: the daemon lives, the honest one is
 * answered all the time, each attacker is stopped or set aside with a reason, and works again when an operator releases it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import type { Session } from "../../src/domain/Session.ts"
import { completed, type DockerDaemon, dockerDaemon, reported, sendTo } from "../support/DockerDaemon.ts"
import { baseImage, dockerCommand, dockerMissing } from "../support/DockerWorld.ts"
import { addGroup, api, report } from "../support/LiveDaemon.ts"
import { patience } from "../support/Patience.ts"

const LIMIT_MS = patience(240_000)
const DEADLINE_MS = patience(90_000)
const program = path.resolve(import.meta.dirname, "../support/agents/hostile.mjs")

/** What they leave makes the session's files untrusted. */
const SET_ASIDE = ["fifo", "link", "wal", "huge"] as const
/** They stay within their container, and what they answer says how far they came. */
const CONTAINED = {
  device: /no device/,
  outbox: /ten thousand files/,
  flood: /flooded much/,
  forks: /refused in the end/,
  tmpfs: /ENOSPC/,
} as const

const textOf = (answers: ReadonlyArray<{ readonly content: string }>): string =>
  answers.map(({ content }) => (JSON.parse(content) as { readonly text?: string }).text ?? "").join("\n")

const attack = (daemon: DockerDaemon, name: string, id = `m-${name}`) =>
  sendTo(daemon, name, id, `attack:${name}`)

const sessionOf = Effect.fnUntraced(function* (daemon: DockerDaemon, id: string) {
  const http = yield* api(daemon)
  const { message } = yield* report(daemon, id)
  return yield* http.session({ id: message.sessionId })
})

const until = Effect.fnUntraced(function* (
  daemon: DockerDaemon,
  id: string,
  what: string,
  holds: (session: Session) => boolean,
) {
  const deadline = Date.now() + DEADLINE_MS
  for (;;) {
    const found = yield* sessionOf(daemon, id)
    if (holds(found.session)) return found
    if (Date.now() > deadline)
      return yield* Effect.die(new Error(`${id}: not ${what}: ${JSON.stringify(found)}`))
    yield* Effect.sleep(50)
  }
})

const holds = Effect.fnUntraced(function* (what: string, look: () => boolean) {
  const deadline = Date.now() + DEADLINE_MS
  while (!look()) {
    if (Date.now() > deadline) return yield* Effect.die(new Error(`it never held that ${what}`))
    yield* Effect.sleep(50)
  }
})

const control = Effect.fnUntraced(function* (daemon: DockerDaemon, id: string, verb: "release" | "stop") {
  const http = yield* api(daemon)
  const { message } = yield* report(daemon, id)
  yield* http.controlSession({ id: message.sessionId, what: verb })
})

describe.skipIf(dockerMissing !== null)("hostile agents in real containers", () => {
  it.live(
    "harm nobody else: FIFOs, links, WAL, 2 GB, devices, ten thousand files, floods, forks, deafness, a full tmpfs, a held lock",
    () =>
      Effect.gen(function* () {
        const daemon = yield* dockerDaemon
        dockerCommand("tag", baseImage, daemon.image)
        const child = yield* Effect.promise(() =>
          daemon.up({
            LAMPLIGHTER_DOCKER_MEMORY_BYTES: "1 GiB",
            LAMPLIGHTER_MAX_STARTS_PER_SECOND: "20",
          }),
        )
        yield* addGroup(daemon, ["node", "--no-warnings", "/workspace/agent/hostile.mjs"], { graceMs: 1_000 })
        const groupDir = path.join(daemon.dataDir, "groups", "g1")
        fs.mkdirSync(groupDir, { recursive: true, mode: 0o755 })
        fs.copyFileSync(program, path.join(groupDir, "hostile.mjs"))

        let turns = 0
        const honest = Effect.gen(function* () {
          const id = `honest-${++turns}`
          yield* sendTo(daemon, "honest", id, "hello")
          const { answers, message } = yield* reported(daemon, id, completed)
          assert.include(textOf(answers), "hello to you")
          assert.strictEqual(message.tries, 0)
        })

        yield* honest
        for (const name of [...SET_ASIDE, ...Object.keys(CONTAINED), "deaf", "lock"])
          yield* attack(daemon, name)
        yield* honest

        for (const name of SET_ASIDE) {
          const id = `m-${name}`
          const { session } = yield* until(daemon, id, "set aside", ({ status }) => status === "quarantined")
          assert.isAbove(session.statusReason?.length ?? 0, 20, name)
          process.stdout.write(`docker, ${name}: set aside, ${session.statusReason}\n`)
        }
        yield* honest

        for (const [name, answer] of Object.entries(CONTAINED)) {
          const { answers } = yield* reported(daemon, `m-${name}`, completed)
          assert.match(textOf(answers), answer, name)
          process.stdout.write(`docker, ${name}: ${textOf(answers)}\n`)
        }
        yield* honest

        yield* until(daemon, "m-deaf", "running", ({ live }) => live)
        yield* control(daemon, "m-deaf", "stop")
        yield* holds("the lock is held", () => fs.existsSync(path.join(groupDir, "locked")))
        yield* attack(daemon, "lock", "m-behind-the-lock")
        yield* until(daemon, "m-lock", "stopped", ({ incarnation, live }) => incarnation > 1 || !live)
        yield* until(daemon, "m-deaf", "killed", ({ incarnation, live }) => incarnation > 1 || !live)
        const { incarnations } = yield* sessionOf(daemon, "m-lock")
        assert.strictEqual(incarnations.find(({ number }) => number === 1)?.reason, "projection-blocked")
        yield* honest

        for (const name of SET_ASIDE) {
          const id = `m-${name}`
          yield* until(
            daemon,
            id,
            "given up",
            ({ statusReason }) => statusReason?.startsWith("its last") === true,
          )
          const http = yield* api(daemon)
          yield* http.cancelMessage({ id: id as never }).pipe(Effect.ignore)
          yield* control(daemon, id, "release")
        }
        for (const name of SET_ASIDE) {
          yield* until(daemon, `m-${name}`, "released", ({ status }) => status === "active")
        }
        yield* honest
        assert.isNull(child.exitCode)
        assert.isAtLeast(turns, 6)
      }),
    LIMIT_MS,
  )
})
