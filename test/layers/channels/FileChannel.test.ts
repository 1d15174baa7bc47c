import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { execFileSync } from "node:child_process"
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as FileChannel from "../../../src/layers/channels/FileChannel.ts"
import { sampleDelivery } from "../../support/SampleDelivery.ts"

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "lamplighter-file-channel-"))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const channelTo = (path: string, maxBytes: number = FileChannel.DEFAULT_FILE_MAX_BYTES) =>
  FileChannel.make({ name: "journal", path, maxBytes })

const linesOf = (path: string) => readFileSync(path, "utf8").split("\n").slice(0, -1)
const idsOf = (path: string) => linesOf(path).map((line) => JSON.parse(line).deliveryId)

describe("FileChannel", () => {
  it.effect("appends one JSON line per delivery and makes the directory", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_700_000_000_000)
      const path = join(directory, "a", "b", "out.jsonl")
      const channel = channelTo(path)
      assert.strictEqual(channel.type, "journal")
      assert.deepStrictEqual(yield* channel.send(sampleDelivery()), { platformMessageId: null })
      yield* channel.send(sampleDelivery({ id: "s1/out-2", content: '{\n  "text": "two\\nlines"\n}' }))
      assert.deepStrictEqual(
        linesOf(path).map((line) => JSON.parse(line)),
        [
          {
            deliveryId: "s1/out-1",
            sessionId: "s1",
            inReplyTo: "m1",
            kind: "chat",
            channelType: "hook",
            platformId: "alice",
            threadId: null,
            at: "2023-11-14T22:13:20.000Z",
            content: { text: "hello" },
          },
          {
            deliveryId: "s1/out-2",
            sessionId: "s1",
            inReplyTo: "m1",
            kind: "chat",
            channelType: "hook",
            platformId: "alice",
            threadId: null,
            at: "2023-11-14T22:13:20.000Z",
            content: { text: "two\nlines" },
          },
        ],
      )
      assert.strictEqual(statSync(path).mode & 0o777, 0o600)
    }),
  )

  it.effect("closes a torn last line before the first append, and only then", () =>
    Effect.gen(function* () {
      const path = join(directory, "out.jsonl")
      writeFileSync(path, '{"deliveryId":"whole"}\n{"deliveryId":"to')
      const channel = channelTo(path)
      yield* channel.send(sampleDelivery())
      yield* channel.send(sampleDelivery({ id: "s1/out-2" }))
      const lines = linesOf(path)
      assert.strictEqual(lines.length, 4)
      assert.deepStrictEqual(lines.slice(0, 2), ['{"deliveryId":"whole"}', '{"deliveryId":"to'])
      assert.strictEqual(JSON.parse(lines[2]!).deliveryId, "s1/out-1")
      assert.strictEqual(JSON.parse(lines[3]!).deliveryId, "s1/out-2")
    }),
  )

  it.effect("closes a line torn between two of its own appends as well", () =>
    Effect.gen(function* () {
      const path = join(directory, "out.jsonl")
      const channel = channelTo(path)
      yield* channel.send(sampleDelivery())
      appendFileSync(path, '{"torn')
      yield* channel.send(sampleDelivery({ id: "s1/out-2" }))
      const lines = linesOf(path)
      assert.strictEqual(lines.length, 3)
      assert.strictEqual(JSON.parse(lines[2]!).deliveryId, "s1/out-2")
    }),
  )

  it.effect("writes concurrent sends whole and each once", () =>
    Effect.gen(function* () {
      const path = join(directory, "out.jsonl")
      const channel = channelTo(path)
      const ids = Array.from({ length: 40 }, (_, index) => `s1/out-${index}`)
      yield* Effect.forEach(
        ids,
        (id, index) =>
          channel.send(sampleDelivery({ id, content: JSON.stringify("x".repeat(index * 1_000)) })),
        { concurrency: "unbounded" },
      )
      assert.deepStrictEqual(idsOf(path).sort(), [...ids].sort())
    }),
  )

  it.effect("follows a file that was moved away", () =>
    Effect.gen(function* () {
      const path = join(directory, "out.jsonl")
      const channel = channelTo(path)
      yield* channel.send(sampleDelivery())
      rmSync(path)
      yield* channel.send(sampleDelivery({ id: "s1/out-2" }))
      assert.deepStrictEqual(idsOf(path), ["s1/out-2"])
    }),
  )

  it.effect("refuses, as transient, to pass its size limit, and writes nothing then", () =>
    Effect.gen(function* () {
      const path = join(directory, "out.jsonl")
      const lineBytes = Buffer.byteLength(FileChannel.fileLine(sampleDelivery(), 0)) + 1
      const channel = channelTo(path, 2 * lineBytes)
      yield* channel.send(sampleDelivery())
      yield* channel.send(sampleDelivery())
      const error = yield* Effect.flip(channel.send(sampleDelivery()))
      assert.strictEqual(error.kind, "Transient")
      assert.include(error.message, `limit of ${2 * lineBytes} bytes`)
      assert.strictEqual(statSync(path).size, 2 * lineBytes)
    }),
  )

  it.effect("tells a directory, a FIFO and a file in the way apart from what time cures: permanent", () =>
    Effect.gen(function* () {
      mkdirSync(join(directory, "dir"))
      writeFileSync(join(directory, "plain"), "")
      execFileSync("mkfifo", [join(directory, "fifo")])
      for (const path of ["dir", "plain/out.jsonl", "fifo"]) {
        const error = yield* Effect.flip(channelTo(join(directory, path)).send(sampleDelivery()))
        assert.strictEqual(error.kind, "Permanent", path)
        assert.include(error.message, join(directory, path))
      }
    }),
  )

  it("takes a full disk, an I/O error and what it does not know for transient", () => {
    const kindOf = (code: string) =>
      FileChannel.classify("/data/out.jsonl", Object.assign(new Error(code), { code })).kind
    for (const code of ["ENOSPC", "EDQUOT", "EIO", "EMFILE", "ENFILE", "unheard of"]) {
      assert.strictEqual(kindOf(code), "Transient", code)
    }
    for (const code of ["EACCES", "EPERM", "EISDIR", "ENOENT", "EROFS"]) {
      assert.strictEqual(kindOf(code), "Permanent", code)
    }
  })

  it.effect("works on after a failed send", () =>
    Effect.gen(function* () {
      const path = join(directory, "out")
      mkdirSync(path)
      const channel = channelTo(path)
      yield* Effect.flip(channel.send(sampleDelivery()))
      rmSync(path, { recursive: true })
      yield* channel.send(sampleDelivery({ id: "s1/out-2" }))
      assert.deepStrictEqual(idsOf(path), ["s1/out-2"])
    }),
  )
})
