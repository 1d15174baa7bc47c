/**
 * Bundles the agent runner into one file, and the program into `dist/program`: loading hundreds of small modules costs a short command more than its work. The library's
 * entries stay as they are, one file a module. docs/decisions/0012-a-bundled-program.md says why.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { rolldown } from "rolldown"

const dist = path.resolve(import.meta.dirname, "../dist")
const program = path.join(dist, "program")

const bundle = await rolldown({
  input: path.join(dist, "main.js"),
  platform: "node",
  external: ["better-sqlite3", "dockerode"],
  plugins: [
    {
      // It is no module, and a bundle of it loses its names.
      name: "undici-stays-a-package",
      resolveId: (source) =>
        source.endsWith("/Undici.js") ? { id: "@effect/platform-node/Undici", external: true } : undefined,
    },
    {
      // A module finds its neighbours where the compiler put it, not where the bundle puts it.
      name: "place-of-a-module",
      transform: (code, id) =>
        id.startsWith(dist)
          ? code.replaceAll(
              "import.meta.url",
              `new URL(${JSON.stringify(path.relative(program, id))}, import.meta.url).href`,
            )
          : undefined,
    },
  ],
})
await bundle.write({ dir: program, format: "esm", minify: true, keepNames: true })
await bundle.close()

const source = path.resolve(import.meta.dirname, "../container/agent-runner")
const target = path.join(dist, "container/agent-runner")
const runner = await rolldown({ input: path.join(source, "main.ts"), platform: "node" })
await runner.write({ file: path.join(target, "main.js"), format: "esm" })
await runner.close()
// Alone in its folder, where a container finds it: without this, Node parses it twice to learn that it is a module.
fs.copyFileSync(path.join(source, "package.json"), path.join(target, "package.json"))
