/** Where the configuration lives, before any of it is read. Loads nothing else, because every command asks. */
import { homedir } from "node:os"
import { join, resolve } from "node:path"

export type Environment = Readonly<Record<string, string | undefined>>

export interface LocateOptions {
  readonly env: Environment
  /** Wins over LAMPLIGHTER_DATA: a command's own option. */
  readonly dataDir?: string | undefined
  /** Where `~` and the default data directory are; the user's home. */
  readonly homeDir?: string | undefined
  /** What relative paths of options and environment start at; the current directory. */
  readonly workDir?: string | undefined
}

export const DATA_VARIABLE = "LAMPLIGHTER_DATA"
export const FILE_VARIABLE = "LAMPLIGHTER_CONFIG"
export const DEFAULT_FILE_NAME = "lamplighter.json"

/** A leading `~` is the home directory. */
export const expandHome = (path: string, home: string): string =>
  path === "~" || path.startsWith("~/") ? join(home, path.slice(1)) : path

/** Empty variables count as unset. */
export const locate = (options: LocateOptions) => {
  const home = options.homeDir ?? homedir()
  const fromWorkDir = (path: string) => resolve(options.workDir ?? process.cwd(), expandHome(path, home))
  const dataDir = fromWorkDir(options.dataDir || options.env[DATA_VARIABLE] || "~/.lamplighter")
  const named = options.env[FILE_VARIABLE]
  return {
    home,
    dataDir,
    file: named ? fromWorkDir(named) : join(dataDir, DEFAULT_FILE_NAME),
    named: Boolean(named),
  }
}
