/**
 * How a person runs this program again. A hint names a command as `lamplighter COMMAND …`, wherever in the program it is written; it is
 * shown as this person would type it.
 */
import { Context, Effect } from "effect"
import * as path from "node:path"
import { locate } from "../layers/configuration/Location.ts"

/** A clone runs its sources, on the Node that it installed if that is what runs them now; a package is on the path, or run by npx. */
const programName = (): string => {
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
const invocation = (dataDir: string): string =>
  locate({ env: process.env }).dataDir === dataDir
    ? programName()
    : `${programName()} --data ${quoted(dataDir)}`

const quoted = (word: string): string =>
  /^[A-Za-z0-9_./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`

/** What this run's hints begin with. */
const Program = Context.Reference<string>("lamplighter/cli/Program", { defaultValue: programName })

/** For a run with these words. */
export const withHints =
  (words: ReadonlyArray<string>) =>
  <A, E, R>(run: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
    const at = words.findIndex((word) => /^--data(=|$)/.test(word))
    const dataDir = words[at]?.split("=", 2)[1] ?? words[at + 1]
    const { dataDir: found } = locate({ env: process.env, dataDir: at < 0 ? undefined : dataDir })
    return Effect.provideService(run, Program, invocation(found))
  }

/** Gives a text's hints the way this program was called. */
export const hints = Effect.map(
  Program,
  (program) => (text: string) => text.replaceAll(/\blamplighter (?=[a-z]|--)/g, () => `${program} `),
)
