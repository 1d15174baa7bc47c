/** The barrels export everything that consumers may use, so that a new module can't be forgotten. */
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"

const src = path.resolve(import.meta.dirname, "../../src")

const modulesOf = (room: string): ReadonlyArray<string> =>
  fs.readdirSync(path.join(src, room)).filter((name) => name.endsWith(".ts") && name !== "index.ts")

const allFiles: ReadonlyArray<string> = fs
  .readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts") && path.basename(name) !== "index.ts")

/** What the modules of `layers` import, as paths from `src`: their parts. What the programs in `cli` import, consumers may want too. */
const parts: ReadonlySet<string> = new Set(
  allFiles
    .filter((file) => file.startsWith("layers/"))
    .flatMap((file) =>
      [...fs.readFileSync(path.join(src, file), "utf8").matchAll(/from "(\.[^"]+\.ts)"/g)].map((match) =>
        path.join(path.dirname(file), String(match[1])),
      ),
    ),
)

const importsOf = (file: string): ReadonlyArray<string> =>
  [...fs.readFileSync(path.join(src, file), "utf8").matchAll(/from "\.\/([^"/]+\.ts)"/g)].map((match) =>
    String(match[1]),
  )

describe("barrels", () => {
  for (const room of ["domain", "services", "services/ledger", "testing"])
    it(`src/${room}/index.ts exports every module of its room`, () => {
      assert.deepStrictEqual(importsOf(`${room}/index.ts`).toSorted(), modulesOf(room).toSorted())
    })

  for (const room of [
    "channels",
    "credentials",
    "docker",
    "exchange",
    "files",
    "http",
    "memory",
    "process",
    "sqlite",
  ].map((name) => `layers/${name}`))
    it(`src/${room}/index.ts exports every module that is no other module's part`, () => {
      const exported = importsOf(`${room}/index.ts`)
      const forgotten = modulesOf(room).filter(
        (name) => !parts.has(path.join(room, name)) && !exported.includes(name),
      )
      assert.deepStrictEqual(forgotten, [])
      assert.isNotEmpty(exported)
    })
})
