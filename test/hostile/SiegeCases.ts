/** A container that works on its files while the host looks: it holds locks, swaps what stands at a name, commits without end. */
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import { setTimeout as delay } from "node:timers/promises"
import { type HostileCase } from "./HostileCase.ts"
import type { Place } from "./OutboundFile.ts"

/** Runs a script with `file` and `elsewhere` until it is told to end; returns when its first turn is done. */
const attacker =
  (script: string) =>
  async ({ elsewhere, outDir, outbound }: Place): Promise<() => void> => {
    const ready = `${elsewhere}/ready-${process.hrtime.bigint()}`
    const prelude = `
      const fs = require("node:fs"), { execFileSync } = require("node:child_process")
      const [file, elsewhere, outDir, ready] = process.argv.slice(1)
      const begun = () => fs.writeFileSync(ready, "")
      const forever = (turn) => { turn(); begun(); for (;;) { try { turn() } catch {} } }
    `
    const child = spawn(
      process.execPath,
      ["--no-warnings", "-e", prelude + script, outbound, elsewhere, outDir, ready],
      { stdio: "inherit" },
    )
    while (!fs.existsSync(ready) && child.exitCode === null) await delay(5)
    return () => void child.kill("SIGKILL")
  }

const HOLD = "begun(); setInterval(() => undefined, 1e6)"

const nothing = (): void => undefined

const siege = (
  name: string,
  live: HostileCase["live"],
  dead: HostileCase["dead"],
  script: string,
): HostileCase => ({ name, live, dead, plant: nothing, besiege: attacker(script) })

const ANY = ["read", "set aside", "not now"] as const

/** Puts each of them at the name in turn, as fast as it can. */
const swapping = (name: string, make: string): HostileCase =>
  siege(
    name,
    ANY,
    ANY,
    `const honest = fs.readFileSync(file), other = outDir + "/other"
     forever(() => {
       ${make}
       fs.renameSync(other, file)
       fs.writeFileSync(other, honest)
       fs.renameSync(other, file)
     })`,
  )

export const siegeCases: ReadonlyArray<HostileCase> = [
  siege(
    "an exclusive lock that is held",
    "not now",
    "not now",
    `const { DatabaseSync } = require("node:sqlite"), database = new DatabaseSync(file)
     database.exec("BEGIN EXCLUSIVE"); ${HOLD}`,
  ),
  siege(
    "a reserved lock that is held",
    "read",
    "read",
    `const { DatabaseSync } = require("node:sqlite"), database = new DatabaseSync(file)
     database.exec("BEGIN IMMEDIATE"); ${HOLD}`,
  ),
  siege(
    "commits without end",
    ["read", "not now"],
    ["read", "not now"],
    `const { DatabaseSync } = require("node:sqlite"), database = new DatabaseSync(file)
     database.exec("PRAGMA synchronous = OFF")
     const insert = database.prepare("INSERT OR REPLACE INTO session_state VALUES ('k', ?, '')")
     forever(() => insert.run(String(Math.random())))`,
  ),
  swapping("a file that is swapped for a link and back", `fs.symlinkSync(elsewhere + "/secret", other)`),
  swapping("a file that is swapped for a FIFO and back", `execFileSync("mkfifo", [other])`),
  swapping(
    "a file that is swapped for one in WAL mode and back",
    `const wal = Buffer.from(honest); wal[18] = wal[19] = 2; fs.writeFileSync(other, wal)`,
  ),
  siege(
    "a journal that comes and goes",
    ANY,
    ANY,
    `forever(() => {
       fs.rmSync(file + "-journal", { force: true, recursive: true })
       execFileSync("mkfifo", [file + "-journal"])
       fs.rmSync(file + "-journal")
       fs.writeFileSync(file + "-journal", Buffer.from("d9d505f920a163d7ffffffff", "hex"))
     })`,
  ),
  siege(
    "a file that grows and shrinks",
    ANY,
    ANY,
    `forever(() => { fs.truncateSync(file, 60 * 1024 * 1024); fs.truncateSync(file, 4096) })`,
  ),
]
