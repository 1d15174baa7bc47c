/**
 * One daemon per data directory. The lock is an open exclusive transaction on `daemon.lock`: the operating system ends it with the
 * process, however that dies, so a stale lock cannot exist. `daemon.pid` beside it is for people; nothing is decided by it.
 */
import Database from "better-sqlite3"
import { Clock, Effect, Option, Schema, type Scope } from "effect"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import { InstallId } from "../../domain/Ids.ts"
import { folderProblem, makeFolder } from "../files/PrivateFolder.ts"
import { storageFailure } from "./LedgerFailure.ts"

/**
 * The directory can't be used. `InUse`: another daemon has it. `NotADirectory`, `Inaccessible` and `Exposed`: the path, or its owner and
 * mode. `Damaged`: a file in it is not what this program writes there.
 */
export class DataDirectoryError extends Schema.TaggedError<DataDirectoryError>()("DataDirectoryError", {
  reason: Schema.Literals(["InUse", "NotADirectory", "Inaccessible", "Exposed", "Damaged"]),
  /** Of the daemon that has it, when that is known. */
  pid: Schema.NullOr(Schema.Int),
  message: Schema.String,
}) {}

export interface DataDirectory {
  /** Absolute. */
  readonly path: string
  /** Made once, kept for ever: tells the containers of this directory from those of others. */
  readonly installId: InstallId
}

const PidFile = Schema.fromJsonString(Schema.Struct({ pid: Schema.Int, startedAt: Schema.Int }))
const decodePidFile = Schema.decodeUnknownOption(PidFile)
const decodeInstallId = Schema.decodeUnknownOption(InstallId)

/** Makes the directory (mode 0700) if there is none, and holds it until the scope closes or the process dies. */
export const acquireDataDirectory = (
  dir: string,
): Effect.Effect<DataDirectory, DataDirectoryError, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = path.resolve(dir)
    const pidFile = path.join(directory, "daemon.pid")
    yield* step(directory, () => prepareDirectory(directory))
    yield* Effect.acquireRelease(
      step(directory, () => lock(directory, pidFile)),
      (database) => Effect.sync(() => database.close()),
    )
    const startedAt = yield* Clock.currentTimeMillis
    yield* Effect.acquireRelease(
      step(directory, () => writeWhole(pidFile, `${JSON.stringify({ pid: process.pid, startedAt })}\n`)),
      () => Effect.sync(() => fs.rmSync(pidFile, { force: true })),
    )
    const installId = yield* step(directory, () => loadInstallId(path.join(directory, "install-id")))
    return { path: directory, installId }
  })

const step = <A>(directory: string, run: () => A): Effect.Effect<A, DataDirectoryError> =>
  Effect.try({
    try: run,
    catch: (cause) =>
      cause instanceof DataDirectoryError
        ? cause
        : refusal(
            "Inaccessible",
            `the data directory ${directory} can't be used: ${cause instanceof Error ? cause.message : String(cause)}; check the disk, and the directory's owner and mode, or choose another`,
          ),
  })

const refusal = (
  reason: DataDirectoryError["reason"],
  message: string,
  pid: number | null = null,
): DataDirectoryError => new DataDirectoryError({ reason, pid, message })

const prepareDirectory = (directory: string): void => {
  const problem = folderProblem(directory)
  if (problem !== undefined) throw refusal(problem.reason, `${problem.message}; ${problem.remedy}`)
  makeFolder(directory)
}

const lock = (directory: string, pidFile: string): Database.Database => {
  const file = path.join(directory, "daemon.lock")
  makeEmpty(file)
  const database = new Database(file, { timeout: 0 })
  try {
    database.exec("BEGIN EXCLUSIVE")
    return database
  } catch (cause) {
    database.close()
    const failure = storageFailure("", cause)
    if (failure?.reason === "Busy") throw inUse(directory, pidFile)
    if (failure?.reason === "Corrupt") {
      throw refusal(
        "Damaged",
        `${file} is not a lock that a daemon made; remove it if no daemon runs on ${directory}`,
      )
    }
    throw cause
  }
}

const inUse = (directory: string, pidFile: string): DataDirectoryError => {
  const pid = livePid(pidFile)
  const who =
    pid === null ? "another daemon, whose process id is not known," : `the daemon with process id ${pid}`
  return refusal(
    "InUse",
    `the data directory ${directory} is in use: ${who} runs on it; stop that one first, or choose another directory`,
    pid,
  )
}

/** The process id in the file, unless the file is absent, unreadable, or left by a process that is gone. */
const livePid = (pidFile: string): number | null => {
  const text = fs.existsSync(pidFile) ? fs.readFileSync(pidFile, "utf8") : ""
  const content = Option.getOrNull(decodePidFile(text))
  return content !== null && lives(content.pid) ? content.pid : null
}

const lives = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (cause) {
    return cause instanceof Error && "code" in cause && cause.code === "EPERM"
  }
}

const loadInstallId = (file: string): InstallId => {
  if (!fs.existsSync(file)) writeWhole(file, `${randomBytes(8).toString("hex")}\n`)
  const id = decodeInstallId(fs.readFileSync(file, "utf8").trim())
  if (Option.isSome(id)) return id.value
  throw refusal(
    "Damaged",
    `${file} holds no install id (8 to 32 of a-z and 0-9); restore it from a backup, or remove it if no container of this directory runs`,
  )
}

/** Never opened again by other means: closing any descriptor of the file would drop the lock that this process holds on it. */
const makeEmpty = (file: string): void => {
  if (!fs.existsSync(file)) fs.closeSync(fs.openSync(file, "a", 0o600))
}

/** Whole or not at all, also after a power cut. */
const writeWhole = (file: string, content: string): void => {
  const temporary = `${file}.tmp`
  const descriptor = fs.openSync(temporary, "w", 0o600)
  try {
    fs.writeFileSync(descriptor, content)
    fs.fsyncSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
  fs.renameSync(temporary, file)
}
