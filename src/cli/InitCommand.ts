/** `init`: a data directory that is ready, with a configuration file to edit and, if wanted, a first group. Repeating it is harmless. */
import { Clock, Effect, Layer } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { plainGroup } from "../domain/Group.ts"
import { GroupId } from "../domain/Ids.ts"
import { loadSettings } from "../layers/Configuration.ts"
import { DEFAULT_FILE_NAME } from "../layers/configuration/Location.ts"
import { acquireDataDirectory } from "../layers/sqlite/DataDirectoryLock.ts"
import * as SqliteLedger from "../layers/sqlite/SqliteLedger.ts"
import { SessionStore } from "../services/SessionStore.ts"
import { formed } from "./Flags.ts"
import { dataDirectory, showing } from "./Root.ts"

/** The settings that are most often changed, with their defaults; docs/configuration.md has the rest. */
const firstFile = `// Lamplighter's configuration: JSON with comments. docs/configuration.md describes every setting.
// The environment wins over this file: LAMPLIGHTER_POLICY_IDLE_MS=60s. A change counts from the daemon's next start.
{
  // Users who may use every admin command in every group, by the name that their channel gives them.
  "owners": [],

  // Limits of every group; 'lamplighter group set GROUP --policy' overrides them for one.
  "policy": {
    // A container that has had nothing to do for this long is stopped.
    "idleMs": "5 minutes",
    // One that gives no sign of progress for this long is killed, and its message tried again.
    "ceilingMs": "30 minutes"
  },

  // Where answers go, by the name that messages use: "file", "webhook" or "stdout". The channel stdout is always there.
  "channels": {
    "journal": { "type": "file", "path": "journal.jsonl" }
  }
}
`

export const initCommand = showing(
  "init",
  null,
  { group: formed("group", GroupId, "Add this group too, with the echo provider") },
  Effect.fnUntraced(function* ({ group }) {
    const dataDir = yield* dataDirectory
    yield* acquireDataDirectory(dataDir)
    const file = path.join(dataDir, DEFAULT_FILE_NAME)
    const wrote = yield* Effect.sync(() => writeNew(file, firstFile))
    const { limits, policy, zone } = yield* loadSettings({ env: process.env, dataDir })
    const ledger = {
      path: path.join(dataDir, "lamplighter.db"),
      mode: "read-write",
      commit: "immediate",
    } as const
    const store = Layer.provide(SessionStore.layer({ policy, limits, zone }), SqliteLedger.layer(ledger))
    const added = yield* addFirst(group).pipe(Effect.provide(store))
    return { dataDir, file, wrote, group: group ?? null, added }
  }),
  ({ added, dataDir, file, group, wrote }, _, say) => [
    `data directory: ${dataDir}`,
    `configuration: ${file} (${wrote === "written" ? "written" : "was there, left as it is"})`,
    ...(group === null ? [] : [`group: ${group} (${added === "added" ? "added" : "was there"})`]),
    say("next: lamplighter up"),
    group === null
      ? say("then, in another terminal: lamplighter group add helpers")
      : say(`then, in another terminal: lamplighter send ${group} "hello" --wait`),
  ],
)

const writeNew = (file: string, text: string): "written" | "kept" => {
  if (fs.existsSync(file)) return "kept"
  fs.writeFileSync(file, text, { mode: 0o600, flag: "wx" })
  return "written"
}

const addFirst = Effect.fnUntraced(function* (id: GroupId | undefined) {
  const store = yield* SessionStore
  if (id === undefined) return "none" as const
  const found = yield* store.read((reader) => reader.group(id))
  if (found !== undefined) return "kept" as const
  const createdAt = yield* Clock.currentTimeMillis
  yield* store.putGroup({ ...plainGroup(id), createdAt, revision: 1 })
  return "added" as const
})
