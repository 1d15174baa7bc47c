/**
 * An agent's program that attacks its host, run by the real runner inside a container. The prompt says how; whatever it is told to do, it
 * can do no more than any program in there.
 */
import { execFileSync, spawn } from "node:child_process"
import * as fs from "node:fs"
import { DatabaseSync } from "node:sqlite"

const OUTBOUND = "/workspace/outbound.db"
const MIB = 1024 * 1024

const forEver = () => new Promise(() => setInterval(() => undefined, 1_000_000))
const seconds = (count) => new Promise((resolve) => setTimeout(resolve, count * 1_000))

const tried = (attempt) => {
  try {
    attempt()
    return "done"
  } catch (error) {
    return error.code ?? String(error.message)
  }
}

const attacks = {
  hello: () => "hello to you",

  fifo: async () => {
    fs.rmSync(OUTBOUND)
    execFileSync("mkfifo", [OUTBOUND])
    tried(() => fs.rmSync("/workspace/.heartbeat", { force: true }))
    execFileSync("mkfifo", ["/workspace/.heartbeat"])
    await forEver()
  },

  link: async () => {
    fs.renameSync(OUTBOUND, "/workspace/old.db")
    fs.symlinkSync("/workspace/in/inbound.db", OUTBOUND)
    await forEver()
  },

  wal: async () => {
    const database = new DatabaseSync(OUTBOUND)
    database.exec("PRAGMA journal_mode = WAL")
    database.exec("INSERT INTO session_state VALUES ('k', 'v', 'now')")
    await forEver()
  },

  huge: async () => {
    const file = fs.openSync(OUTBOUND, "r+")
    // A file of 2 GB is beyond the container's own limit, which answers with a signal or an error.
    process.on("SIGXFSZ", () => undefined)
    tried(() => fs.ftruncateSync(file, 2_048 * MIB))
    fs.ftruncateSync(file, 900 * MIB)
    await forEver()
  },

  device: () =>
    [
      tried(() => execFileSync("mknod", ["/workspace/device", "c", "1", "5"], { stdio: "ignore" })),
      fs.existsSync("/workspace/device") ? "a device" : "no device",
    ].join(", "),

  outbox: () => {
    for (let n = 0; n < 10_000; n++) fs.writeFileSync(`/workspace/outbox/file-${n}`, "")
    // Deeper than a path may be long.
    process.chdir("/workspace/outbox")
    for (let n = 0; n < 300; n++) {
      fs.mkdirSync("deep-deep-deep")
      process.chdir("deep-deep-deep")
    }
    fs.symlinkSync("/etc", "/workspace/outbox/link")
    return "ten thousand files"
  },

  flood: async () => {
    // The runner's own stdout, which is the container's: what the engine keeps and the host listens to.
    const out = fs.openSync(`/proc/${process.ppid}/fd/1`, "w")
    const line = Buffer.from(`${"x".repeat(1_000)}\n`.repeat(100))
    const until = Date.now() + 4_000
    let written = 0
    while (Date.now() < until) {
      try {
        written += fs.writeSync(out, line)
      } catch (error) {
        if (error.code !== "EAGAIN") throw error
      }
    }
    return `flooded ${written > 10 * MIB ? "much" : written}`
  },

  forks: async () => {
    let refused = 0
    for (let n = 0; n < 2_000 && refused < 20; n++)
      try {
        spawn("sleep", ["5"], { stdio: "ignore" }).on("error", () => void (refused += 1))
        if (n % 50 === 0) await seconds(0)
      } catch {
        refused += 1
      }
    await seconds(1)
    return refused > 0 ? "refused in the end" : "never refused"
  },

  deaf: async () => {
    process.on("SIGTERM", () => undefined)
    process.kill(process.ppid, "SIGSTOP")
    await forEver()
  },

  tmpfs: () => {
    const piece = Buffer.alloc(MIB, 1)
    const file = fs.openSync("/tmp/full", "w")
    return tried(() => {
      for (let n = 0; n < 2_000; n++) fs.writeSync(file, piece)
    })
  },

  lock: async () => {
    const database = new DatabaseSync("/workspace/in/inbound.db", { readOnly: true })
    database.exec("BEGIN")
    database.prepare("SELECT count(*) FROM messages_in").get()
    fs.writeFileSync("/workspace/agent/locked", "")
    await forEver()
  },
}

const prompt = fs.readFileSync(0, "utf8")
const [, name = "hello"] = /attack:(\w+)/.exec(prompt) ?? []
process.stdout.write(`${await attacks[name]()}\n`)
process.exit(0)
