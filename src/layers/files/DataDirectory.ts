/**
 * Where everything lies under the data directory. Paths are built from branded ids only, so none of them can climb out of
 * it; what stands at a path is another question, and whoever opens it asks it there.
 */
import * as path from "node:path"
import type { GroupId, SessionId } from "../../domain/Ids.ts"
import type { Pair, PairPaths } from "../../services/Mailbox.ts"

/** `<data>/sessions/<group>/<session>`: one folder per incarnation below. */
export const sessionDir = (
  dataDir: string,
  session: { readonly groupId: GroupId; readonly sessionId: SessionId },
): string => path.join(dataDir, "sessions", session.groupId, session.sessionId)

/** `<data>/sessions/<group>/<session>/<incarnation>`: holds `in/` and `out/`. */
export const pairDir = (dataDir: string, pair: Pair): string =>
  path.join(sessionDir(dataDir, pair), String(pair.incarnation))

export const pairPaths = (dataDir: string, pair: Pair): PairPaths => ({
  inDir: path.join(pairDir(dataDir, pair), "in"),
  outDir: path.join(pairDir(dataDir, pair), "out"),
})

/** `<data>/tmp`: files on their way to a rename, and private copies. On the same file system as everything else. */
export const tmpDir = (dataDir: string): string => path.join(dataDir, "tmp")
