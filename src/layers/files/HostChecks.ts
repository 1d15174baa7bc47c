/** What the data directory's file system can do, tried out and cleaned up again. */
import { randomUUID } from "node:crypto"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { check, type Check } from "../../domain/Check.ts"
import { folderProblem, nearestFolder } from "./PrivateFolder.ts"

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** The same rules as those by which `init` and `up` take it. */
export const checkDataDirectory = async (dataDir: string): Promise<Check> => {
  const name = "data directory"
  const problem = folderProblem(dataDir)
  if (problem !== undefined) return check(name, "failure", problem.message, problem.remedy)
  const place = nearestFolder(dataDir)
  try {
    const probe = path.join(place, `.lamplighter-doctor-${randomUUID()}`)
    await fs.writeFile(probe, "", { flag: "wx", mode: 0o600 })
    await fs.rm(probe)
  } catch (error) {
    const remedy = "look at its file system, or choose another with --data or LAMPLIGHTER_DATA"
    return check(name, "failure", `${dataDir} can't be written to: ${messageOf(error)}`, remedy)
  }
  if (place === dataDir) return check(name, "ok", `${dataDir} is writable`)
  const remedy = "lamplighter init makes it, and so does up"
  return check(name, "warning", `${dataDir} is not there yet; it can be made`, remedy)
}

const MIB = 1024 ** 2
const LITTLE_BYTES = 1024 * MIB
const NOTHING_BYTES = 100 * MIB

export const checkDisk = async (dataDir: string): Promise<Check> => {
  const { bavail, bsize } = await fs.statfs(nearestFolder(dataDir))
  const free = bavail * bsize
  const level = free < NOTHING_BYTES ? "failure" : free < LITTLE_BYTES ? "warning" : "ok"
  const remedy = level === "ok" ? null : "free some space: on a full disk nothing new is accepted"
  return check("disk", level, `${Math.floor(free / MIB)} MiB free where the data is`, remedy)
}
