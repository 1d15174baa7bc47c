/** What the data directory's file system can do, tried out and cleaned up again. */
import { randomUUID } from "node:crypto"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { Check } from "../../domain/Check.ts"

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** The folder itself, or the nearest one above it that is there: where it would be made. */
export const nearestFolder = async (directory: string): Promise<string> => {
  const stat = await fs.stat(directory).catch(() => null)
  return stat !== null || directory === path.dirname(directory)
    ? directory
    : nearestFolder(path.dirname(directory))
}

export const checkDataDirectory = async (dataDir: string): Promise<Check> => {
  const name = "data directory"
  const place = await nearestFolder(dataDir)
  try {
    const probe = path.join(place, `.lamplighter-doctor-${randomUUID()}`)
    await fs.writeFile(probe, "", { flag: "wx", mode: 0o600 })
    await fs.rm(probe)
  } catch (error) {
    return {
      name,
      level: "failure",
      message: `${dataDir} can't be written to: ${messageOf(error)}`,
      remedy: `make it writable for this user (uid ${process.getuid?.() ?? "?"}), or choose another with --data or LAMPLIGHTER_DATA`,
    }
  }
  return place === dataDir
    ? { name, level: "ok", message: `${dataDir} is writable`, remedy: null }
    : {
        name,
        level: "warning",
        message: `${dataDir} is not there yet; it can be made`,
        remedy: "lamplighter init makes it, and so does up",
      }
}

const MIB = 1024 ** 2
const LITTLE_BYTES = 1024 * MIB
const NOTHING_BYTES = 100 * MIB

export const checkDisk = async (dataDir: string): Promise<Check> => {
  const { bavail, bsize } = await fs.statfs(await nearestFolder(dataDir))
  const free = bavail * bsize
  const message = `${Math.floor(free / MIB)} MiB free where the data is`
  const level = free < NOTHING_BYTES ? "failure" : free < LITTLE_BYTES ? "warning" : "ok"
  return {
    name: "disk",
    level,
    message,
    remedy: level === "ok" ? null : "free some space: on a full disk nothing new is accepted",
  }
}
