/** What a container is told of its rows, in a pair that this program made and in one that is older. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import Database from "better-sqlite3"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { OutboundId } from "../../../src/domain/Ids.ts"
import { imageOf, INBOUND_SQL } from "../../../src/layers/exchange/ExchangeSchema.ts"
import { project } from "../../../src/layers/exchange/InboundWriter.ts"
import { projection } from "../../contract/Mailbox.contract.ts"

const old = INBOUND_SQL.replace("delivered_at TEXT NOT NULL,\n  detail TEXT", "delivered_at TEXT NOT NULL")

describe("the delivered table", () => {
  for (const [which, sql] of [
    ["of this program", INBOUND_SQL],
    ["of an older one, which a container still has", old],
  ] as const)
    it.live(`${which} says why a row failed`, () =>
      Effect.gen(function* () {
        const directory = yield* Effect.acquireRelease(
          Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-inbound-"))),
          (made) => Effect.sync(() => fs.rmSync(made, { recursive: true })),
        )
        const file = path.join(directory, "inbound.db")
        fs.writeFileSync(file, imageOf(sql))
        const row = { outboundId: OutboundId.make("o1"), platformMessageId: null, at: 1_000 } as const
        const accepted = { ...row, status: "accepted", detail: null } as const
        const failed = { ...row, status: "failed", detail: "no such chat" } as const
        for (const [revision, delivered] of [accepted, failed].entries())
          yield* project(file, projection(revision + 1, [], { delivered: [delivered] }))
        const database = new Database(file, { readonly: true })
        const rows = database.prepare("SELECT message_out_id, status, detail FROM delivered").raw().all()
        database.close()
        assert.deepStrictEqual(rows, [["o1", "failed", "no such chat"]])
      }).pipe(Effect.scoped),
    )
})
