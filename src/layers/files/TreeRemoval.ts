/**
 * Removes trees that a container made. They are moved out of the way at once, by one rename, and removed later by `rm` in a process of
 * its own: a tree may hold a million files, be deeper than a path may be long, or be closed to its reader, and none of that may
 * keep the daemon from its work. `rm` descends by descriptor and follows no link.
 */
import { Effect, Queue } from "effect"
import { spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"

/** Names of what waits in the folder for temporary files. */
const GONE = "gone-"
/** Starting a process takes a millisecond of the daemon's: one is enough for what was thrown away in a second. */
const GATHER_MS = 1_000
const TOGETHER = 100
const REMOVAL_MS = 300_000

/** Runs a program to its end. True: it says that all went well. */
const succeeds = (program: string, words: ReadonlyArray<string>): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const limits = { timeout: REMOVAL_MS, killSignal: "SIGKILL" } as const
    const child = spawn(program, words, { cwd: "/", stdio: "ignore", ...limits })
    child.once("error", () => resume(Effect.succeed(false)))
    child.once("exit", (code) => resume(Effect.succeed(code === 0)))
    return Effect.sync(() => void child.kill("SIGKILL"))
  })

const remove = Effect.fnUntraced(function* (trees: ReadonlyArray<string>) {
  if (yield* succeeds("rm", ["-rf", "--", ...trees])) return
  // A directory that its maker closed: links in it are not followed here either.
  yield* succeeds("chmod", ["-R", "u+rwX", "--", ...trees])
  if (yield* succeeds("rm", ["-rf", "--", ...trees])) return
  yield* Effect.logWarning(`can't be removed and may be deleted by hand: ${trees.join(", ")}`)
})

/** What an earlier daemon left is removed too. Ends with the scope; what is left then is for the next daemon. */
export const makeTreeRemoval = Effect.fnUntraced(function* (temporaryDir: string) {
  const waiting = yield* Queue.unbounded<string>()
  const left = yield* Effect.promise(() => fs.promises.readdir(temporaryDir).catch(() => []))
  yield* Queue.offerAll(
    waiting,
    left.filter((name) => name.startsWith(GONE)).map((name) => path.join(temporaryDir, name)),
  )
  yield* Effect.gen(function* () {
    for (;;) {
      const first = yield* Queue.take(waiting)
      yield* Effect.sleep(GATHER_MS)
      yield* remove([first, ...(yield* Queue.takeBetween(waiting, 0, TOGETHER))])
    }
  }).pipe(Effect.forkScoped)
  return {
    /** Moves the tree away; when this returns, nothing stands at its place. Throws what `rename` throws. */
    discard: (tree: string): void => {
      fs.mkdirSync(temporaryDir, { recursive: true, mode: 0o700 })
      const aside = path.join(temporaryDir, `${GONE}${randomUUID()}`)
      fs.renameSync(tree, aside)
      Queue.offerUnsafe(waiting, aside)
    },
  }
})
