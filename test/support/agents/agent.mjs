// One agent runner for the process runtime's tests: AGENT_BEHAVIOUR says how it behaves. It says "ready" on stdout once its
// signal handlers stand, so that a test has something to wait for.
import { spawn } from "node:child_process"
import { writeSync } from "node:fs"

const stay = () => setInterval(() => {}, 1_000)
const ready = () => process.stdout.write("ready\n")
const exitOnSigterm = () =>
  process.on("SIGTERM", () => {
    process.stdout.write("stopping\n")
    process.exit(0)
  })

/** A child in a process group of its own, whose process id is told on stdout. */
const spawnTool = (detached) => {
  const tool = spawn(process.execPath, ["-e", "process.on('SIGTERM',()=>{});setInterval(()=>{},1000)"], {
    detached,
    stdio: "ignore",
  })
  tool.unref()
  process.stdout.write(`tool ${tool.pid}\n`)
}

const behaviours = {
  obeys: () => {
    exitOnSigterm()
    stay()
    ready()
  },
  deaf: () => {
    process.on("SIGTERM", () => process.stdout.write("ignored\n"))
    stay()
    ready()
  },
  exits: () => process.exit(Number(process.env.AGENT_EXIT_CODE)),
  speaks: () => {
    process.stdout.write("one\ntwo\n")
    process.stderr.write("aside\n")
    process.stdout.write("three")
    process.exitCode = 0
  },
  /** Tells what it was started with. */
  reports: () => {
    const { env } = process
    process.stdout.write(
      `${JSON.stringify({
        argv: process.argv.slice(2),
        cwd: process.cwd(),
        env,
      })}\n`,
    )
  },
  flood: () => {
    const block = `${"x".repeat(127)}\n`.repeat(128)
    let left = Number(process.env.AGENT_FLOOD_BYTES)
    const more = () => {
      if (left <= 0) {
        process.stdout.write("dry\n")
        return
      }
      left -= block.length
      for (const descriptor of [1, 2]) {
        try {
          writeSync(descriptor, block)
        } catch (error) {
          // Nobody reads so fast; what does not fit now is left out.
          if (error.code !== "EAGAIN") throw error
        }
      }
      setImmediate(more)
    }
    more()
  },
  longLine: () => process.stdout.write(`${"y".repeat(100_000)}\nafter\n`),
  grandchildren: () => {
    exitOnSigterm()
    spawnTool(false)
    spawnTool(true)
    stay()
    ready()
  },
  crashesWithGrandchildren: () => {
    spawnTool(false)
    spawnTool(true)
    process.exitCode = 3
  },
}

behaviours[process.env.AGENT_BEHAVIOUR]()
