/** A folder that is one user's alone: what forbids a path to be the data directory, and how a missing one is made. */
import * as fs from "node:fs"
import * as path from "node:path"

export interface FolderProblem {
  readonly reason: "NotADirectory" | "Inaccessible" | "Exposed"
  readonly message: string
  readonly remedy: string
}

const OTHERS = 0o077

/** The folder itself, or the nearest one above it that is there: where it would be made. */
export const nearestFolder = (directory: string): string =>
  fs.existsSync(directory) || directory === path.dirname(directory)
    ? directory
    : nearestFolder(path.dirname(directory))

/** One by one: asked for all of them at once, Node never returns on a file system that makes none, such as /proc. */
export const makeFolder = (directory: string): void => {
  if (fs.existsSync(directory)) return
  makeFolder(path.dirname(directory))
  try {
    fs.mkdirSync(directory, { mode: 0o700 })
  } catch (cause) {
    if (!fs.existsSync(directory)) throw cause
  }
}

/** Of a data directory, or of the folder in which it would be made. */
export const folderProblem = (directory: string): FolderProblem | undefined => {
  const place = nearestFolder(directory)
  const stat = fs.statSync(place)
  if (!stat.isDirectory()) {
    return {
      reason: place === directory ? "NotADirectory" : "Inaccessible",
      message: `${place} is a file`,
      remedy: "name a directory for the daemon's data, or choose another",
    }
  }
  try {
    fs.accessSync(place, fs.constants.R_OK | fs.constants.W_OK | fs.constants.X_OK)
  } catch (cause) {
    return {
      reason: "Inaccessible",
      message: `the data directory ${directory} can't be used: ${String(cause)}`,
      remedy: `make it writable for this user (uid ${process.getuid?.() ?? "?"}), or choose another with --data or LAMPLIGHTER_DATA`,
    }
  }
  const mode = stat.mode & 0o7777
  if (place !== directory || (mode & OTHERS) === 0) return undefined
  return {
    reason: "Exposed",
    message: `the data directory ${directory} is open to other users (mode ${mode.toString(8)}), and it holds what agents say and the daemon's socket`,
    remedy: `run 'chmod 700 ${directory}', or choose another`,
  }
}
