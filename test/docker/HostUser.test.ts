/**
 * The daemon as root, as the user 1000 and as another one: what the container writes in out/ it can read, what it puts into in/ the
 * container can, and neither needs a file that everybody may read.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { dockerMissing } from "../support/DockerWorld.ts"
import { engineSocket, makeEngineProxy } from "../support/EngineProxy.ts"

const script = fileURLToPath(new URL("../support/hostUserDaemon.ts", import.meta.url))

interface Told {
  readonly host: string
  readonly exitCode: number | null
  readonly stderr: string
  readonly secret: string | null
  readonly owner: number | null
  readonly outbound: string
  readonly note: string | null
}

const daemonAs = (user: { readonly uid: number; readonly gid: number } | null) =>
  Effect.gen(function* () {
    // Open to every user, as the engine's own socket is to a group.
    const proxy = yield* makeEngineProxy(engineSocket)
    return yield* Effect.promise(
      () =>
        new Promise<Told>((resolve, reject) =>
          execFile(
            process.execPath,
            [script],
            {
              ...user,
              cwd: "/",
              timeout: 30_000,
              env: {
                PATH: process.env["PATH"],
                HOME: "/nonexistent",
                DOCKER_HOST: `unix://${proxy.socketPath}`,
              },
            },
            (error, stdout, stderr) => {
              if (error === null) resolve(JSON.parse(stdout) as Told)
              else reject(new Error(`${error.message}\n${stderr}`))
            },
          ),
        ),
    )
  })

const works = (told: Told, host: string, inside: string): void => {
  assert.strictEqual(told.stderr, "")
  assert.strictEqual(told.exitCode, 0)
  assert.strictEqual(told.host, host)
  assert.strictEqual(told.secret, `from ${inside}`)
  assert.strictEqual(`${told.owner}`, inside.split(":")[0])
  assert.strictEqual(told.outbound, "the host and the agent")
  assert.strictEqual(told.note, "from the host")
}

const mine = `${process.getuid?.()}:${process.getgid?.()}`

describe.skipIf(dockerMissing !== null)("the user of the daemon", () => {
  it.live(
    "whoever runs this",
    () =>
      Effect.gen(function* () {
        works(yield* daemonAs(null), mine, process.getuid?.() === 0 ? "1000:1000" : mine)
      }),
    40_000,
  )

  // Only root can be somebody else; for anybody else the case above is that of an ordinary user.
  describe.skipIf(process.getuid?.() !== 0)("as somebody else", () => {
    for (const id of [1_000, 4_242])
      it.live(
        `${id}`,
        () =>
          Effect.gen(function* () {
            const told = yield* daemonAs({ uid: id, gid: id })
            works(told, `${id}:${id}`, `${id}:${id}`)
          }),
        40_000,
      )
  })
})
