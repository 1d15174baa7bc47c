/**
 * Bundles the program into `dist/program`: loading hundreds of small modules costs a short command more than its work. The library's
 * entries stay as they are, one file a module. docs/decisions/0012-a-bundled-program.md says why.
 */
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
