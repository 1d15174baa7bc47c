/** Something else stands where outbound.db, or what SQLite opens beside it, is expected. */
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { type HostileCase, hostile } from "./HostileCase.ts"
import { execute, honestImage, type Place, reshape, row } from "./OutboundFile.ts"

const instead = (make: (place: Place) => void) => (place: Place) => {
  fs.rmSync(place.outbound)
  make(place)
}

const fifo = (file: string): void => void execFileSync("mkfifo", [file])
const device = (file: string, major: number, minor: number): void =>
  void execFileSync("mknod", [file, "c", String(major), String(minor)])

const isRoot = process.getuid?.() === 0

/** Sockets stay as files when their server is gone. */
const socket = (file: string): void => {
  const script = `require("node:net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))`
  try {
    execFileSync(process.execPath, ["-e", script, file], { stdio: "ignore" })
  } catch {
    // It killed itself, so that the file stays.
  }
  if (!fs.lstatSync(file).isSocket()) throw new Error(`${file} is no socket`)
}

const sparse = (file: string, bytes: number): void => fs.truncateSync(file, bytes)

export const fileCases: ReadonlyArray<HostileCase> = [
  hostile("a link to another session's database", "set aside", (place) => {
    const victim = path.join(place.elsewhere, "outbound.db")
    fs.writeFileSync(victim, honestImage())
    instead(() => fs.symlinkSync(victim, place.outbound))(place)
  }),
  hostile(
    "a dangling link",
    "set aside",
    instead(({ outbound }) => fs.symlinkSync("/nowhere", outbound)),
  ),
  hostile(
    "a link to itself",
    "set aside",
    instead(({ outbound }) => fs.symlinkSync("outbound.db", outbound)),
  ),
  hostile(
    "a link to /dev/zero",
    "set aside",
    instead(({ outbound }) => fs.symlinkSync("/dev/zero", outbound)),
  ),
  hostile(
    "a second name of a file outside",
    "set aside",
    instead(({ elsewhere, outbound }) => {
      const victim = path.join(elsewhere, "victim.db")
      fs.writeFileSync(victim, honestImage())
      fs.linkSync(victim, outbound)
    }),
  ),
  hostile(
    "a FIFO",
    "set aside",
    instead(({ outbound }) => fifo(outbound)),
  ),
  hostile(
    "a socket",
    "set aside",
    instead(({ outbound }) => socket(outbound)),
  ),
  hostile(
    "a directory",
    "set aside",
    instead(({ outbound }) => fs.mkdirSync(outbound)),
  ),
  ...(isRoot
    ? [
        hostile(
          "a device that never ends",
          "set aside",
          instead(({ outbound }) => device(outbound, 1, 5)),
        ),
      ]
    : []),
  hostile(
    "nothing at all",
    "set aside",
    instead(() => undefined),
  ),
  hostile("an empty file", "set aside", ({ outbound }) => sparse(outbound, 0)),
  hostile("a header and no more", "set aside", ({ outbound }) => sparse(outbound, 100)),
  hostile("cut in the middle of a page", "set aside", ({ outbound }) => sparse(outbound, 6_000)),
  hostile("cut by its last page", "set aside", ({ outbound }) =>
    reshape(outbound, (image) => image.subarray(0, 4_096)),
  ),
  hostile("noise", "set aside", ({ outbound }) => fs.writeFileSync(outbound, Buffer.alloc(40_960, 0xa5))),
  hostile("2 GB, sparse", "set aside", ({ outbound }) => sparse(outbound, 2 * 1024 ** 3)),
  hostile("one page above the cap", "set aside", ({ outbound }) => sparse(outbound, 64 * 1024 ** 2 + 4_096)),
  hostile("no right to read it", isRoot ? "read" : "not now", ({ outbound }) =>
    fs.chmodSync(outbound, 0o000),
  ),
  hostile("WAL mode", "set aside", ({ outbound }) =>
    execute(outbound, "PRAGMA journal_mode = WAL", row("'w'")),
  ),
  hostile("WAL mode, with a -shm cut short and a -wal", "set aside", ({ outbound }) => {
    reshape(outbound, (image) => {
      image[18] = 2
      image[19] = 2
    })
    fs.writeFileSync(`${outbound}-wal`, Buffer.alloc(4_128, 1))
    fs.writeFileSync(`${outbound}-shm`, "")
  }),
  ...(["-wal", "-shm"] as const).flatMap((suffix) => [
    hostile(`an empty ${suffix}`, "set aside", ({ outbound }) => fs.writeFileSync(outbound + suffix, "")),
    hostile(`a FIFO as ${suffix}`, "set aside", ({ outbound }) => fifo(outbound + suffix)),
  ]),
  hostile("a FIFO as the journal", "set aside", ({ outbound }) => fifo(`${outbound}-journal`)),
  hostile("a directory as the journal", "set aside", ({ outbound }) => fs.mkdirSync(`${outbound}-journal`)),
  hostile("a link as the journal", "set aside", ({ elsewhere, outbound }) =>
    fs.symlinkSync(path.join(elsewhere, "secret"), `${outbound}-journal`),
  ),
]
