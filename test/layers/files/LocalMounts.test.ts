import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import { homedir, tmpdir } from "node:os"
import * as path from "node:path"
import type { MountRequest } from "../../../src/domain/MountPolicy.ts"
import * as LocalMounts from "../../../src/layers/files/LocalMounts.ts"
import { HostMounts } from "../../../src/services/HostMounts.ts"

let root: string
const at = (...parts: ReadonlyArray<string>): string => path.join(root, ...parts)
beforeEach(() => {
  root = fs.realpathSync(fs.mkdtempSync(path.join(tmpdir(), "lamplighter-mounts-")))
  for (const folder of ["data/groups", "shared/notes", "shared/.ssh", "elsewhere", "engine", "conf"])
    fs.mkdirSync(at(folder), { recursive: true })
  for (const file of ["engine/engine.sock", "conf/lamplighter.json"]) fs.writeFileSync(at(file), "")
})
afterEach(() => fs.rmSync(root, { recursive: true, force: true }))

const decide = (
  source: string,
  options: Partial<LocalMounts.LocalMountsOptions> = {},
  access: MountRequest["access"] = "read-only",
) =>
  HostMounts.pipe(
    Effect.flatMap((mounts) => mounts.decide([{ source, target: "x", access }])),
    Effect.map(([decision]) =>
      decision === undefined
        ? "none"
        : decision._tag === "Allowed"
          ? `${decision.bind.source} ${decision.bind.access}`
          : decision.reason,
    ),
    Effect.provide(
      LocalMounts.layer({
        dataDir: at("data"),
        readable: [root],
        writable: [],
        engineSockets: [at("engine", "engine.sock")],
        configurationFile: at("conf", "lamplighter.json"),
        ...options,
      }),
    ),
  )

describe("the mounts of this host", () => {
  it.effect("are made of real paths, however they were asked for", () =>
    Effect.gen(function* () {
      fs.symlinkSync(at("shared"), at("link"))
      assert.strictEqual(yield* decide(at("link", "notes")), `${at("shared", "notes")} read-only`)
    }),
  )

  it.effect("may be listed by a link, which means where it leads, and nothing beside it", () =>
    Effect.gen(function* () {
      fs.symlinkSync(at("shared"), at("link"))
      const listed = { readable: [at("link")] }
      assert.strictEqual(yield* decide(at("shared", "notes"), listed), `${at("shared", "notes")} read-only`)
      assert.strictEqual(yield* decide(at("elsewhere"), listed), "not-allowed")
    }),
  )

  it.effect("can't lead out of the list by a link in it", () =>
    Effect.gen(function* () {
      fs.symlinkSync(at("elsewhere"), at("shared", "out"))
      assert.strictEqual(yield* decide(at("shared", "out"), { readable: [at("shared")] }), "not-allowed")
    }),
  )

  it.effect(
    "never show the data directory, the engine's socket, the configuration, or keys, links to them included",
    () =>
      Effect.gen(function* () {
        const secret: ReadonlyArray<readonly [string, string]> = [
          [at("data", "groups"), "data-directory"],
          [at("engine"), "engine-socket"],
          [at("conf"), "data-directory"],
          [at("shared", ".ssh"), "credentials"],
          [homedir(), "home"],
        ]
        for (const [index, [place, reason]] of secret.entries()) {
          assert.strictEqual(yield* decide(place, { readable: ["/"] }), reason, place)
          const link = at(`link${index}`)
          fs.symlinkSync(place, link)
          assert.strictEqual(yield* decide(link, { readable: ["/"] }), reason, `a link to ${place}`)
        }
        assert.strictEqual(yield* decide(at("nothing")), "missing")
      }),
  )

  it.effect("are written to only where the list of writable ones says so", () =>
    Effect.gen(function* () {
      const place = at("shared", "notes")
      assert.strictEqual(yield* decide(place, {}, "read-write"), "read-only")
      assert.strictEqual(yield* decide(place, { writable: [place] }, "read-write"), `${place} read-write`)
    }),
  )

  it.effect("are none where nobody has said what is allowed", () =>
    Effect.gen(function* () {
      const [decision] = yield* (yield* HostMounts).decide([
        { source: at("shared"), target: "x", access: "read-only" },
      ])
      assert.strictEqual(decision?._tag, "Refused")
    }),
  )
})
