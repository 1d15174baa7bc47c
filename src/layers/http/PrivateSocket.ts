/**
 * A unix socket that only its user can open: what must hold of the path before a server listens on it. The directory is private, so
 * that nobody gets in during the moment between the socket's birth and its mode; and only a socket that a dead daemon left goes away.
 */
import { Effect, Schema } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { folderProblem } from "../files/PrivateFolder.ts"

/** The socket can't be made; the message says what would help. */
export class SocketError extends Schema.TaggedError<SocketError>()("SocketError", {
  reason: Schema.Literals(["TooLong", "Exposed", "Occupied", "Failed"]),
  message: Schema.String,
}) {}

/** What the operating system's address of a socket holds, without its closing zero byte. */
const MAX_PATH_BYTES = process.platform === "linux" ? 107 : 103

const refusal = (reason: SocketError["reason"], message: string) => new SocketError({ reason, message })

/** What is wrong with a path for a socket, before anything looks at the disk. */
export const socketPathProblem = (socketPath: string): SocketError | undefined => {
  const size = Buffer.byteLength(socketPath)
  const message = `the socket ${socketPath} has a path of ${size} bytes, and the system takes ${MAX_PATH_BYTES}; choose a data directory with a shorter path`
  return size <= MAX_PATH_BYTES ? undefined : refusal("TooLong", message)
}

/** Makes room for a socket. The caller holds the directory's lock, so a socket that stands there belongs to nobody alive. */
export const prepareSocket = (socketPath: string): Effect.Effect<void, SocketError> =>
  Effect.try({
    try: () => {
      const refused = obstacle(socketPath)
      if (refused !== undefined) throw refused
      fs.rmSync(socketPath, { force: true })
    },
    catch: (cause) =>
      cause instanceof SocketError
        ? cause
        : refusal("Failed", `the socket ${socketPath} can't be made: ${String(cause)}`),
  })

const obstacle = (socketPath: string): SocketError | undefined => {
  const tooLong = socketPathProblem(socketPath)
  if (tooLong !== undefined) return tooLong
  const problem = folderProblem(path.dirname(socketPath))
  if (problem?.reason === "Exposed") return refusal("Exposed", `${problem.message}; ${problem.remedy}`)
  if (fs.lstatSync(socketPath, { throwIfNoEntry: false })?.isSocket() !== false) return undefined
  return refusal(
    "Occupied",
    `${socketPath} is in the way: the daemon's socket goes there, and this is none; move it elsewhere`,
  )
}
