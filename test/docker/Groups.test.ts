import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { defaultGroupContainer, type GroupContainer } from "../../src/domain/Group.ts"
import { completed, type DockerDaemon, dockerDaemon, reported } from "../support/DockerDaemon.ts"
import { baseImage, dockerCommand, dockerMissing } from "../support/DockerWorld.ts"
import { addGroup, api, sendText } from "../support/LiveDaemon.ts"
import { patience } from "../support/Patience.ts"

const LIMIT_MS = patience(120_000)

const shell = (script: string): readonly [string, ...Array<string>] => ["/bin/sh", "-c", script]

/** A folder of the host outside of everything that is refused. */
const hostFolder = Effect.acquireRelease(
  Effect.sync(() => {
    const made = fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-mounted-"))
    fs.chmodSync(made, 0o755)
    return made
  }),
  (made) => Effect.sync(() => fs.rmSync(made, { recursive: true, force: true })),
)

const change = (daemon: DockerDaemon, container: Partial<GroupContainer>) =>
  Effect.flatMap(api(daemon), (http) =>
    http.updateGroup({
      id: "g1" as never,
      container: { ...defaultGroupContainer, ...container },
    }),
  )

const answerTo = (daemon: DockerDaemon, id: string) =>
  Effect.gen(function* () {
    yield* sendText(daemon, id, "go")
    const { answers } = yield* reported(daemon, id, completed)
    return (JSON.parse(answers[0]?.content ?? "{}") as { readonly text: string }).text.split("\n")
  })

const withImage = (daemon: DockerDaemon): void => void dockerCommand("tag", baseImage, daemon.image)

describe.skipIf(dockerMissing !== null)("a group's containers, on a real engine", () => {
  it.live(
    "see exactly the folders of the host that the list admits, and write only where both say so",
    () =>
      Effect.gen(function* () {
        const daemon = yield* dockerDaemon
        const folder = yield* hostFolder
        withImage(daemon)
        for (const name of ["notes", "results"]) fs.mkdirSync(path.join(folder, name), { mode: 0o777 })
        fs.chmodSync(path.join(folder, "results"), 0o777)
        fs.writeFileSync(path.join(folder, "notes", "a,b:c.txt"), "read me")
        yield* Effect.promise(() =>
          daemon.up({
            LAMPLIGHTER_DOCKER_READABLE_MOUNTS: folder,
            LAMPLIGHTER_DOCKER_WRITABLE_MOUNTS: path.join(folder, "results"),
          }),
        )
        yield* addGroup(
          daemon,
          shell(
            "cat '/workspace/extra/notes/a,b:c.txt'; echo; touch /workspace/extra/notes/x 2>/dev/null || echo not here;" +
              "echo written >/workspace/extra/results/r && ls /workspace/extra",
          ),
        )
        yield* change(daemon, {
          mounts: [
            { source: path.join(folder, "notes"), target: "notes", access: "read-only" },
            { source: path.join(folder, "results"), target: "results", access: "read-write" },
          ],
        })
        assert.deepStrictEqual(yield* answerTo(daemon, "m1"), ["read me", "not here", "notes", "results"])
        assert.strictEqual(fs.readFileSync(path.join(folder, "results", "r"), "utf8"), "written\n")
      }),
    LIMIT_MS,
  )

  it.live(
    "are not started while a mount is refused; the reason is told, and no try is spent",
    () =>
      Effect.gen(function* () {
        const daemon = yield* dockerDaemon
        const folder = yield* hostFolder
        withImage(daemon)
        fs.symlinkSync("/etc", path.join(folder, "harmless"))
        yield* Effect.promise(() => daemon.up({ LAMPLIGHTER_DOCKER_READABLE_MOUNTS: folder }))
        yield* addGroup(daemon, null)
        const source = path.join(folder, "harmless")
        yield* change(daemon, { mounts: [{ source, target: "x", access: "read-only" }] })
        yield* sendText(daemon, "m1", "hello")
        const { message, wakeError } = yield* reported(daemon, "m1", (found) => found.wakeError !== null)
        assert.deepStrictEqual([message.state, message.tries], ["pending", 0])
        assert.include(wakeError ?? "", `${source} (really /etc)`)
        assert.deepStrictEqual(daemon.containers(), [])
        yield* change(daemon, {})
        assert.strictEqual((yield* reported(daemon, "m1", completed)).message.tries, 0)
      }),
    LIMIT_MS,
  )

  it.live(
    "keep their state, see the skills that their group names, and can't change them",
    () =>
      Effect.gen(function* () {
        const daemon = yield* dockerDaemon
        const folder = yield* hostFolder
        withImage(daemon)
        for (const name of ["cook", "sail"]) {
          fs.mkdirSync(path.join(folder, name))
          fs.writeFileSync(path.join(folder, name, "SKILL.md"), `how to ${name}`)
        }
        yield* Effect.promise(() => daemon.up({ LAMPLIGHTER_DOCKER_SKILLS_DIR: folder }))
        yield* addGroup(
          daemon,
          shell(
            "cd /home/node/.claude; ls skills; cat skills/*/SKILL.md; echo; rm -f skills/* 2>/dev/null;" +
              "touch /app/skills/x 2>/dev/null || echo not here; ls skills | wc -l; echo x >>state; wc -l <state",
          ),
        )
        yield* change(daemon, { skills: ["sail"] })
        const seen = ["sail", "how to sail", "not here", "1"]
        assert.deepStrictEqual(yield* answerTo(daemon, "m1"), [...seen, "1"])
        dockerCommand("kill", ...daemon.containers())
        assert.deepStrictEqual(yield* answerTo(daemon, "m2"), [...seen, "2"])
      }),
    LIMIT_MS,
  )

  it.live(
    "have the limits, the program and the runner that their group says",
    () =>
      Effect.gen(function* () {
        const daemon = yield* dockerDaemon
        const folder = yield* hostFolder
        withImage(daemon)
        const runner = path.join(folder, "runner")
        fs.cpSync(path.resolve(import.meta.dirname, "../../container/agent-runner"), runner, {
          recursive: true,
        })
        fs.writeFileSync(path.join(runner, "mine"), "")
        yield* Effect.promise(() => daemon.up({ LAMPLIGHTER_DOCKER_READABLE_MOUNTS: folder }))
        yield* addGroup(
          daemon,
          shell(
            "ls /app/src/mine; ulimit -n; touch /writable && echo written; tr '\\0' ' ' </proc/1/cmdline",
          ),
        )
        yield* change(daemon, {
          runnerDir: runner,
          sandbox: {
            openFiles: 333,
            rootFilesystem: "writable",
            user: "1234:1234",
            memoryBytes: 128 * 1024 * 1024,
            command: ["node", "--max-old-space-size=64", "/app/src/main.ts"],
          },
        })
        const answer = yield* answerTo(daemon, "m1")
        assert.deepStrictEqual(answer.slice(0, 2), ["/app/src/mine", "333"])
        assert.include(answer.at(-1) ?? "", "--max-old-space-size=64")
        const [container] = daemon.containers()
        const format = "{{.HostConfig.Memory}} {{.Config.User}} {{.HostConfig.ReadonlyRootfs}}"
        assert.strictEqual(
          dockerCommand("inspect", "-f", format, container ?? "").trim(),
          `${128 * 1024 * 1024} 1234:1234 false`,
        )
        const shown = yield* Effect.flatMap(api(daemon), (http) => http.group({ id: "g1" as never }))
        assert.strictEqual(shown.container.sandbox.openFiles, 333)
      }),
    LIMIT_MS,
  )

  it.live(
    "may be of an image that has its own runner and knows only /workspace",
    () =>
      Effect.gen(function* () {
        const daemon = yield* dockerDaemon
        const runner = fs.readFileSync(
          path.resolve(import.meta.dirname, "../support/agents/minimal-runner.mjs"),
        )
        const foreign = daemon.derive(
          "foreign",
          `RUN mkdir /opt/agent && echo ${runner.toString("base64")} | base64 -d >/opt/agent/main.mjs\nWORKDIR /opt/agent`,
        )
        yield* Effect.promise(() => daemon.up())
        yield* addGroup(daemon, null)
        const http = yield* api(daemon)
        yield* http.updateGroup({
          id: "g1" as never,
          imageTag: foreign,
          runnerReoffers: false,
          container: { ...defaultGroupContainer, sandbox: { command: ["node", "/opt/agent/main.mjs"] } },
        })
        assert.deepStrictEqual(yield* answerTo(daemon, "m1"), ["GO"])
        // It never looks twice at an id: a retry needs a fresh container, and gets one.
        yield* sendText(daemon, "m2", "fail")
        const { answers, message } = yield* reported(daemon, "m2", completed)
        assert.deepStrictEqual([message.tries, answers.length], [1, 1])
        assert.notInclude(daemon.said(), "building it")
      }),
    LIMIT_MS,
  )

  it.live(
    "have the packages of their group: base before group, each built once, and the image that they replace goes",
    () =>
      Effect.gen(function* () {
        const daemon = yield* dockerDaemon
        // Stands in for the packages' registry: what it is told to install becomes a program.
        const base = daemon.derive(
          "packages",
          `RUN printf '#!/bin/sh\\nfor name; do :; done\\n[ "$1" = update ] && exit\\necho "$name" >/usr/local/bin/installed\\n' >/usr/local/bin/apt-get && chmod 755 /usr/local/bin/apt-get && touch /usr/local/bin/installed`,
        )
        yield* Effect.promise(() =>
          daemon.up({ LAMPLIGHTER_DOCKER_BASE_IMAGE: base, LAMPLIGHTER_DOCKER_BUILD_NETWORK: "none" }),
        )
        yield* addGroup(daemon, shell("cat /usr/local/bin/installed; id -u"))
        const images = () =>
          dockerCommand(
            "images",
            "-q",
            "--filter",
            "label=io.lamplighter.image=group",
            "--filter",
            `label=io.lamplighter.image.install=${fs.readFileSync(path.join(daemon.dataDir, "install-id"), "utf8").trim()}`,
          )
            .split("\n")
            .filter((line) => line !== "")
        yield* change(daemon, { packages: { apt: ["cowsay"], npm: [] } })
        assert.deepStrictEqual(yield* answerTo(daemon, "m1"), ["cowsay", "1000"])
        const order = daemon.said().match(/image \S+: building it from/g) ?? []
        assert.strictEqual(order.length, 2)
        assert.include(daemon.said(), `${daemon.image}: building it from ${base}`)
        const [first] = images()
        assert.strictEqual(images().length, 1)

        // The next wake has the new packages; a container that still runs keeps its image, and so it stays.
        yield* change(daemon, { packages: { apt: ["figlet"], npm: [] } })
        dockerCommand("kill", ...daemon.containers())
        assert.deepStrictEqual(yield* answerTo(daemon, "m2"), ["figlet", "1000"])
        assert.strictEqual(images().length, 1)
        assert.notStrictEqual(images()[0], first)

        // A build that fails takes nothing away.
        yield* change(daemon, { packages: { apt: ["figlet"], npm: ["no-npm-here"] } })
        const [good] = images()
        dockerCommand("kill", ...daemon.containers())
        yield* sendText(daemon, "m3", "go")
        const { wakeError } = yield* reported(daemon, "m3", (found) => found.wakeError !== null)
        assert.include(wakeError ?? "", "can't be built")
        assert.deepStrictEqual(images(), [good ?? ""])
        dockerCommand("rmi", "-f", ...images())
      }),
    LIMIT_MS,
  )

  it.live(
    "are never built with a package whose name is none",
    () =>
      Effect.gen(function* () {
        const daemon = yield* dockerDaemon
        yield* Effect.promise(() => daemon.up())
        yield* addGroup(daemon, null)
        const refused = yield* Effect.flip(change(daemon, { packages: { apt: ["curl; id"], npm: [] } }))
        assert.include(JSON.stringify(refused), "packages")
        assert.notInclude(daemon.said(), "building it")
      }),
    LIMIT_MS,
  )
})
