/** Rules that are broken on purpose, as `sabotages.yaml` lists them. */
import { Schema } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { parse } from "yaml"

const Sabotage = Schema.Struct({
  name: Schema.String,
  /** The rule as a reader of docs/ knows it. */
  rule: Schema.String,
  file: Schema.String,
  /** Stands there exactly once. */
  from: Schema.String,
  to: Schema.String,
  /** Who ought to notice: these tests, or the simulation alone, which knows nothing of the rule in particular. */
  tests: Schema.Union([Schema.Literal("simulation"), Schema.Array(Schema.String)]),
})
export type Sabotage = typeof Sabotage.Type

const list = path.join(import.meta.dirname, "sabotages.yaml")

export const sabotages: ReadonlyArray<Sabotage> = Schema.decodeUnknownSync(Schema.Array(Sabotage))(
  parse(fs.readFileSync(list, "utf8")),
)
