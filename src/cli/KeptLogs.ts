/** The logs that exits left in the data directory, as `logs` without a session lists them: the files say all that the list shows. */
import * as fs from "node:fs"
import * as path from "node:path"

export interface KeptLog {
  readonly session: string
  readonly incarnation: number
  /** When the file was written, which is when that life ended; epoch ms. */
  readonly at: number
  readonly bytes: number
  readonly file: string
}

const incarnationOf = /-(\d+)\.log$/

/** Newest first, at most `limit`. Files that go away meanwhile, because retention took them, are left out. */
export const keptLogs = (dataDir: string, limit: number): ReadonlyArray<KeptLog> => {
  const root = path.join(dataDir, "logs")
  const found: Array<KeptLog> = []
  for (const session of entries(root)) {
    for (const name of entries(path.join(root, session))) {
      const incarnation = incarnationOf.exec(name)?.[1]
      const file = path.join(root, session, name)
      const stat = fs.statSync(file, { throwIfNoEntry: false })
      if (incarnation === undefined || stat === undefined) continue
      found.push({
        session,
        incarnation: Number(incarnation),
        at: Math.floor(stat.mtimeMs),
        bytes: stat.size,
        file,
      })
    }
  }
  return found.sort((a, b) => b.at - a.at || b.incarnation - a.incarnation).slice(0, limit)
}

const entries = (directory: string): ReadonlyArray<string> => {
  try {
    return fs.readdirSync(directory)
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined
    if (code === "ENOENT" || code === "ENOTDIR") return []
    throw error
  }
}
