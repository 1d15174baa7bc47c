/** How a person runs this program again: what messages that name a whole command begin with. */
import { locate } from "../layers/Configuration.ts"

/** A clone runs its sources on the Node that it installed; a package has the program on the path. */
const program = import.meta.url.endsWith(".ts") ? "node_modules/.bin/node src/main.ts" : "lamplighter"

/** The program with the flag that leads it to this data directory, if it needs one. */
export const invocation = (dataDir: string): string =>
  locate({ env: process.env }).dataDir === dataDir ? program : `${program} --data ${quoted(dataDir)}`

const quoted = (word: string): string =>
  /^[A-Za-z0-9_./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
