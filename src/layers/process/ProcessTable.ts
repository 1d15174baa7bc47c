/**
 * What runs on this host: `/proc` on Linux; elsewhere the output of `ps`, whose start times are cut to the second and whose
 * environments are unknown, so that only the process group tells what a dead runner left behind.
 */
import { execFile, execFileSync } from "node:child_process"
import { readdir } from "node:fs/promises"
import { readFileSync } from "node:fs"
import { setImmediate as nextTurn } from "node:timers/promises"
import { promisify } from "node:util"

export interface ProcessEntry {
  readonly pid: number
  /** Process group: the leader's process id. */
  readonly group: number
  readonly startTime: string
  /** `ended`: a zombie, or on its way there. */
  readonly state: "running" | "ended"
}

export interface ProcessDetail extends ProcessEntry {
  readonly argv: ReadonlyArray<string>
}

/** Every method throws when the table could not be read: not knowing is never "not there". */
export interface ProcessTable {
  /** The host's boot. */
  readonly bootId: string
  readonly find: (pid: number) => ProcessEntry | undefined | Promise<ProcessEntry | undefined>
  /** Every process whose command line could be read. */
  readonly commandLines: () => Promise<ReadonlyArray<ProcessDetail>>
  /** Running processes of a group that a runner led, and those whose environment has `marker` (`NAME=value`). */
  readonly belongingTo: (group: number, marker: string) => Promise<ReadonlyArray<ProcessEntry>>
  /** How many processes the kernel has killed for want of memory since the boot; null where nobody says. */
  readonly memoryKills: () => number | null
}

/** More processes than any host has by default; beyond, the scan refuses instead of answering with half of the truth. */
const MAX_PROCESSES = 131_072
/** Processes looked at before the event loop gets a turn. */
const SLICE = 64

const parseStat = (pid: number, text: string): ProcessEntry & { readonly session: number } => {
  // The command name stands in parentheses and may itself hold spaces and parentheses.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ")
  return {
    pid,
    group: Number(fields[2]),
    session: Number(fields[3]),
    startTime: fields[19] ?? "",
    state: /^[ZXx]/.test(fields[0] ?? "") ? "ended" : "running",
  }
}

/** What `body` makes, or `undefined` where it throws one of these codes of the system's. */
export const unless = <A>(codes: ReadonlyArray<string>, body: () => A): A | undefined => {
  try {
    return body()
  } catch (error) {
    if (codes.includes((error as NodeJS.ErrnoException).code ?? "")) return undefined
    throw error
  }
}

/** To one process or (negative) one group; gone already is success. */
export const signal = (target: number, name: "SIGTERM" | "SIGKILL"): void =>
  void unless(["ESRCH"], () => process.kill(target, name))

const GONE = ["ENOENT", "ESRCH"]
const GONE_OR_FOREIGN = [...GONE, "EACCES", "EPERM"]

const readProc = (path: string, absent: ReadonlyArray<string>): string | undefined =>
  unless(absent, () => readFileSync(`/proc/${path}`, "latin1"))

const findInProc = (pid: number) => {
  const text = readProc(`${pid}/stat`, GONE)
  return text === undefined || text === "" ? undefined : parseStat(pid, text)
}

const scanProc = async (visit: (pid: number) => void): Promise<void> => {
  const pids = (await readdir("/proc")).filter((name) => /^[0-9]+$/.test(name)).map(Number)
  if (pids.length > MAX_PROCESSES) throw new Error(`more than ${MAX_PROCESSES} processes in /proc`)
  for (const [index, pid] of pids.entries()) {
    visit(pid)
    if (index % SLICE === SLICE - 1) await nextTurn()
  }
}

const procTable = (): ProcessTable => ({
  bootId: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
  find: findInProc,
  commandLines: async () => {
    const found: Array<ProcessDetail> = []
    await scanProc((pid) => {
      const line = readProc(`${pid}/cmdline`, GONE_OR_FOREIGN)
      if (line === undefined || line === "") return
      const entry = findInProc(pid)
      if (entry !== undefined) found.push({ ...entry, argv: line.split("\0").slice(0, -1) })
    })
    return found
  },
  memoryKills: () => {
    const text = readProc("vmstat", GONE_OR_FOREIGN) ?? ""
    const match = /^oom_kill (\d+)$/m.exec(text)
    return match === null ? null : Number(match[1])
  },
  belongingTo: async (group, marker) => {
    const found: Array<ProcessEntry> = []
    await scanProc((pid) => {
      const entry = findInProc(pid)
      if (entry === undefined || entry.state === "ended") return
      // A runner leads a session of its own too, which a group that happens to reuse its number rarely does.
      const member = entry.group === group && entry.session === group
      const environment = member ? undefined : readProc(`${pid}/environ`, GONE_OR_FOREIGN)
      if (member || `\0${environment ?? ""}`.includes(`\0${marker}\0`)) found.push(entry)
    })
    return found
  },
})

const PS_COLUMNS = "pid=,pgid=,stat=,lstart=,args="
const PS_OPTIONS = {
  encoding: "utf8",
  maxBuffer: 32 * 1024 * 1024,
  timeout: 5_000,
  env: { PATH: "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" },
} as const

/** One line of `ps -o pid=,pgid=,stat=,lstart=,args=`: the start time is five words, and arguments lose their boundaries. */
export const parsePsLine = (line: string): ProcessDetail | undefined => {
  const match = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(\S+\s+\S+\s+\S+\s+\S+\s+\S+)\s?(.*)$/.exec(line)
  return match === null
    ? undefined
    : {
        pid: Number(match[1]),
        group: Number(match[2]),
        state: match[3]?.startsWith("Z") ? "ended" : "running",
        startTime: (match[4] ?? "").replaceAll(/\s+/g, "-"),
        argv: (match[5] ?? "").split(" "),
      }
}

const ps = async (selection: ReadonlyArray<string>): Promise<ReadonlyArray<ProcessDetail>> => {
  const { stdout } = await promisify(execFile)("ps", [...selection, "-o", PS_COLUMNS], PS_OPTIONS)
  return stdout.split("\n").flatMap((line) => parsePsLine(line) ?? [])
}

/** Without a boot id of the system, the start time's date alone tells boots apart. */
const bootIdElsewhere = (): string => {
  try {
    return execFileSync("sysctl", ["-n", "kern.bootsessionuuid"], PS_OPTIONS).trim() || "unknown-boot"
  } catch {
    return "unknown-boot"
  }
}

/** Works wherever `ps` does. */
export const psTable = (): ProcessTable => ({
  bootId: bootIdElsewhere(),
  find: (pid) =>
    ps(["-p", String(pid)]).then(
      (rows) => rows[0],
      // `ps` answers 1 for "no such process"; anything else is not an answer.
      (error: { code?: unknown }) => {
        if (error.code === 1) return undefined
        throw error
      },
    ),
  commandLines: () => ps(["-A"]),
  belongingTo: async (group) =>
    (await ps(["-A"])).filter((row) => row.group === group && row.state === "running"),
  memoryKills: () => null,
})

export const processTable = (): ProcessTable => (process.platform === "linux" ? procTable() : psTable())
