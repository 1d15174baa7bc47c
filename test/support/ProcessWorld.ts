/**
 * A place for the process runtime's tests: a temporary data directory, agents from `test/support/agents`, and at the end of
 * the scope the proof that nothing of it runs any more.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect, Layer, Schedule, Schema } from "effect"
import { GroupId, InstallId, SessionId } from "../../src/domain/Ids.ts"
import { agentArguments, parseHandle } from "../../src/layers/process/ProcessIdentity.ts"
import { ProcessRuntime } from "../../src/layers/process/ProcessRuntime.ts"
import { processTable } from "../../src/layers/process/ProcessTable.ts"
import { ContainerRuntime, type LaunchSpec } from "../../src/services/ContainerRuntime.ts"
import type { Behaviour, RuntimeWorld } from "../contract/ContainerRuntime.contract.ts"

export const agentEntry = fileURLToPath(new URL("./agents/agent.mjs", import.meta.url))

export type ProcessBehaviour =
  | Behaviour
  | "reports"
  | "flood"
  | "longLine"
  | "grandchildren"
  | "crashesWithGrandchildren"

export interface ProcessWorld extends RuntimeWorld {
  readonly directory: string
  readonly dataDir: (install: InstallId) => string
  readonly agent: (
    session: string,
    behaviour: ProcessBehaviour,
    env?: Readonly<Record<string, string>>,
  ) => LaunchSpec
  readonly openWith: (options: {
    readonly maxOutputBytes?: number
    readonly nodePath?: string
    readonly runnerEntry?: string
  }) => RuntimeWorld["open"]
  /** Running processes of both installs, whatever group they are in. */
  readonly survivors: () => ReadonlyArray<number>
}

/** Waits for a condition of the real world, at most ten seconds. */
export const eventually = (what: string, holds: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => (holds() ? Effect.void : Effect.fail("not yet" as const))).pipe(
    Effect.retry(Schedule.spaced("10 millis")),
    Effect.orDie,
    Effect.timeoutOrElse({
      duration: "10 seconds",
      orElse: () => Effect.die(new Error(`still not: ${what}`)),
    }),
  )

const install = (): InstallId => Schema.decodeSync(InstallId)(`t${randomBytes(7).toString("hex")}`)

const environmentOf = (pid: string): string => {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1")
  } catch {
    return ""
  }
}

export const makeProcessWorld = Effect.gen(function* () {
  const directory = mkdtempSync(join(tmpdir(), "lamplighter-process-"))
  const ours = install()
  const other = install()
  const table = processTable()

  const survivors = (): ReadonlyArray<number> =>
    readdirSync("/proc")
      .filter((name) => /^[0-9]+$/.test(name))
      .filter((pid) => {
        const environment = environmentOf(pid)
        return [ours, other].some((id) => environment.includes(`LAMPLIGHTER_RUN=${id}/`))
      })
      .map(Number)

  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      for (const pid of survivors()) {
        try {
          process.kill(pid, "SIGKILL")
        } catch {
          // Gone between the look and the signal.
        }
      }
      yield* eventually("every process of the test is gone", () => survivors().length === 0)
      rmSync(directory, { recursive: true, force: true })
    }),
  )

  const dataDir = (id: InstallId): string => join(directory, id)

  const agent: ProcessWorld["agent"] = (session, behaviour, env = {}) => {
    const groupDir = join(directory, "group")
    mkdirSync(groupDir, { recursive: true })
    return {
      labels: {
        install: ours,
        group: Schema.decodeSync(GroupId)("family"),
        session: Schema.decodeSync(SessionId)(session),
        incarnation: 1,
      },
      name: `lamplighter-${ours}-${session}`,
      inDir: join(directory, "in"),
      outDir: join(directory, "out"),
      groupDir,
      globalDir: join(directory, "global"),
      containerJson: join(groupDir, "container.json"),
      env: {
        ...(behaviour === "exits7"
          ? { AGENT_BEHAVIOUR: "exits", AGENT_EXIT_CODE: "7" }
          : { AGENT_BEHAVIOUR: behaviour }),
        ...env,
      },
      image: null,
      graceMs: 1_000,
    }
  }

  const spec: RuntimeWorld["spec"] = (session, behaviour, more = {}) => {
    const plain = agent(session, behaviour)
    const labels = {
      ...plain.labels,
      install: more.install ?? ours,
      incarnation: more.incarnation ?? 1,
    }
    return { ...plain, labels, name: `lamplighter-${labels.install}-${session}` }
  }

  const openWith: ProcessWorld["openWith"] = (options) => (id) => {
    mkdirSync(dataDir(id), { recursive: true })
    return Layer.build(
      ProcessRuntime.layer({
        dataDir: dataDir(id),
        install: id,
        runnerEntry: options.runnerEntry ?? agentEntry,
        nodePath: options.nodePath ?? process.execPath,
        maxOutputBytes: options.maxOutputBytes ?? 1024 * 1024,
      }),
    ).pipe(Effect.flatMap((context) => Effect.provideContext(ContainerRuntime, context)))
  }

  const bearUnrecorded: RuntimeWorld["bearUnrecorded"] = ({ env, groupDir, labels }) =>
    Effect.callback<void>((resume) => {
      const child: ChildProcess = spawn(process.execPath, [agentEntry, ...agentArguments(labels)], {
        cwd: groupDir,
        env: { ...env, LAMPLIGHTER_RUN: `${labels.install}/${labels.session}/${labels.incarnation}` },
        detached: true,
        stdio: ["ignore", "pipe", "inherit"],
      })
      child.stdout?.once("data", () => resume(Effect.void))
    })

  const isDead = (pid: number): boolean => {
    const entry = table.find(pid)
    if (entry instanceof Promise) throw new Error("these tests need /proc")
    return entry === undefined || entry.state === "ended"
  }

  const world: ProcessWorld = {
    install: ours,
    otherInstall: other,
    directory,
    dataDir,
    agent,
    spec,
    open: openWith({}),
    openWith,
    killOutside: (ref) => {
      const pid = parseHandle(ref.handle)?.pid ?? 0
      return Effect.sync(() => process.kill(pid, "SIGKILL")).pipe(
        Effect.andThen(eventually(`${pid} is dead`, () => isDead(pid))),
      )
    },
    bearUnrecorded,
    survivors,
  }
  return world
})
