/** How a person runs this program again: what messages that name a whole command begin with. */
import * as path from "node:path"
import { locate } from "../layers/configuration/Location.ts"

/** A clone runs its sources, on the Node that it installed if that is what runs them now; a package is on the path, or run by npx. */
export const programName = (): string => {
  if (!import.meta.url.endsWith(".ts")) {
    return process.env["npm_command"] === "exec" ? "npx lamplighter" : "lamplighter"
  }
  const nearHere = (file: string) => {
    const relative = path.relative(process.cwd(), file)
    return relative.startsWith("..") ? file : relative
  }
  const installed = process.execPath.includes(`${path.sep}node_modules${path.sep}`)
  const main = nearHere(path.resolve(import.meta.dirname, "../main.ts"))
  return installed
    ? `${nearHere(path.resolve(import.meta.dirname, "../../node_modules/.bin/node"))} ${main}`
    : `node ${main}`
}

/** The program with the flag that leads it to this data directory, if it needs one. */
export const invocation = (dataDir: string): string =>
  locate({ env: process.env }).dataDir === dataDir
    ? programName()
    : `${programName()} --data ${quoted(dataDir)}`

const quoted = (word: string): string =>
  /^[A-Za-z0-9_./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
