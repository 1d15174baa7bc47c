/** The barrels export everything that consumers may use, so that a new module can't be forgotten. */
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"

const src = path.resolve(import.meta.dirname, "../../src")

const modulesOf = (room: string): ReadonlyArray<string> =>
  fs.readdirSync(path.join(src, room)).filter((name) => name.endsWith(".ts") && name !== "index.ts")

const importsOf = (file: string): ReadonlyArray<string> =>
  [...fs.readFileSync(path.join(src, file), "utf8").matchAll(/from "\.\/([^"/]+\.ts)"/g)].map((match) =>
    String(match[1]),
  )

describe("barrels", () => {
  for (const room of ["domain", "services", "services/ledger", "testing"])
    it(`src/${room}/index.ts exports every module of its room`, () => {
      assert.deepStrictEqual(importsOf(`${room}/index.ts`).toSorted(), modulesOf(room).toSorted())
    })

  for (const room of ["layers/memory", "layers/sqlite", "layers/process"])
    it(`src/${room}/index.ts exports every module that is no other module's part`, () => {
      const exported = importsOf(`${room}/index.ts`)
      const parts = new Set(modulesOf(room).flatMap((name) => importsOf(`${room}/${name}`)))
      const forgotten = modulesOf(room).filter((name) => !parts.has(name) && !exported.includes(name))
      assert.deepStrictEqual(forgotten, [])
      assert.isNotEmpty(exported)
    })
})
