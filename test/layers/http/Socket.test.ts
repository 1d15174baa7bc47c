/** The operations through a real socket: what is asked arrives, what is answered comes back, and what is no request is told so. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as fs from "node:fs"
import { request } from "node:http"
import * as os from "node:os"
import * as path from "node:path"
import { plainGroup } from "../../../src/domain/Group.ts"
import { GroupId } from "../../../src/domain/Ids.ts"
import { client } from "../../../src/layers/http/SocketClient.ts"
import * as SocketServer from "../../../src/layers/http/SocketServer.ts"
import { Invalid, NotFound } from "../../../src/services/ledger/Refusals.ts"
import { LedgerError } from "../../../src/services/LedgerDriver.ts"
import { Operations } from "../../../src/services/Operations.ts"

const stored = { ...plainGroup(GroupId.make("g1")), createdAt: 1, revision: 1 }

/** Answers the few operations that the tests ask for. */
const few = {
  groups: () => Effect.succeed([stored]),
  group: ({ id }: { readonly id: GroupId }) =>
    id === "g1" ? Effect.succeed(stored) : Effect.fail(NotFound.of("group", id)),
  events: () => Effect.fail(new LedgerError({ reason: "Busy", message: "busy" })),
  status: () => Effect.die(new Error("a mistake of ours")),
  shutdown: () => Effect.succeed({ stopping: true } as const),
} as unknown as Operations["Service"]

const served = Effect.gen(function* () {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-http-"))),
    (made) => Effect.sync(() => fs.rmSync(made, { recursive: true })),
  )
  const socketPath = path.join(folder, "daemon.sock")
  yield* Layer.build(SocketServer.layer(socketPath).pipe(Layer.provide(Layer.succeed(Operations, few))))
  return socketPath
})

const raw = (socketPath: string, at: string, body: string | Buffer, method = "POST") =>
  Effect.promise(
    () =>
      new Promise<{ readonly status: number | undefined; readonly body: string }>((resolve, reject) => {
        const sent = request({ socketPath, path: at, method }, (response) => {
          let text = ""
          response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk))
          response.once("end", () => resolve({ status: response.statusCode, body: text }))
        })
        sent.once("error", reject)
        sent.end(body)
      }),
  )

describe("the daemon's socket", () => {
  it.live("is open to its user alone", () =>
    Effect.gen(function* () {
      assert.strictEqual(fs.statSync(yield* served).mode & 0o777, 0o600)
    }),
  )

  it.live("brings answers back, and the declared errors as what they are", () =>
    Effect.gen(function* () {
      const api = client(yield* served)
      assert.deepStrictEqual(yield* api.groups(), [stored])
      assert.deepStrictEqual(yield* api.group({ id: GroupId.make("g1") }), stored)
      const refusal = yield* Effect.flip(api.group({ id: GroupId.make("g2") }))
      assert.instanceOf(refusal, NotFound)
      assert.strictEqual(refusal.message, NotFound.of("group", "g2").message)
      const failure = yield* Effect.flip(api.events())
      assert.instanceOf(failure, LedgerError)
      assert.deepInclude(failure, { reason: "Busy", message: "busy" })
    }),
  )

  it.live("refuses an input of another shape at both ends, naming the field", () =>
    Effect.gen(function* () {
      const socketPath = yield* served
      const wrong = { limit: 5_000 }
      const local = yield* Effect.flip(client(socketPath).events(wrong))
      assert.instanceOf(local, Invalid)
      assert.include(local.message, "limit")
      const far = yield* raw(socketPath, "/events", JSON.stringify(wrong))
      assert.strictEqual(far.status, 422)
      assert.include(far.body, "limit")
    }),
  )

  for (const [what, at, body, method, status, says] of [
    ["an operation that does not exist", "/gruops", "{}", "POST", 404, "there is no operation 'gruops'"],
    ["a name of the language's own", "/constructor", "{}", "POST", 404, "there is no operation"],
    ["another method", "/groups", "", "PUT", 405, "with POST, not with PUT"],
    ["a body that is no JSON", "/groups", "{", "POST", 422, "is not understood"],
    ["a body without what is needed", "/group", "{}", "POST", 422, "id"],
    ["a body over the limit", "/groups", Buffer.alloc(18 * 1024 * 1024, 32), "POST", 413, "at most"],
    ["a mistake of the daemon", "/status", "{}", "POST", 500, "its log says why"],
  ] as const) {
    it.live(`answers ${what} with ${status} and a sentence`, () =>
      Effect.gen(function* () {
        const answer = yield* raw(yield* served, at, body, method)
        assert.strictEqual(answer.status, status)
        assert.include((JSON.parse(answer.body) as { readonly message: string }).message, says)
      }),
    )
  }

  it.live("says of a daemon that is gone that it did not answer", () =>
    Effect.gen(function* () {
      const socketPath = yield* Effect.scoped(served)
      const failure = yield* Effect.flip(client(socketPath).groups())
      assert.strictEqual(failure._tag, "Unanswered")
    }),
  )
})

describe("the declaration of the operations", () => {
  it("is all that a client needs to load: no server, no library of HTTP, no ledger", () => {
    const seen = new Set<string>()
    const packages = new Set<string>()
    const visit = (file: string): void => {
      if (seen.has(file)) return
      seen.add(file)
      const source = fs.readFileSync(file, "utf8")
      for (const [, what = "", specifier = ""] of source.matchAll(
        /^(?:import|export) ([^"]*?) ?from "([^"]+)"/gms,
      )) {
        if (what.startsWith("type ")) continue
        if (specifier.startsWith(".")) visit(path.resolve(path.dirname(file), specifier))
        else packages.add(specifier)
      }
    }
    visit(path.resolve(import.meta.dirname, "../../../src/layers/http/SocketClient.ts"))
    assert.deepStrictEqual([...packages].sort(), ["effect"])
    assert.isBelow(seen.size, 40)
  })
})
