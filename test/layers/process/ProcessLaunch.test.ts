import { assert, describe, it } from "@effect/vitest"
import { startError } from "../../../src/layers/process/ProcessLaunch.ts"

const failure = (code: string) => Object.assign(new Error(`spawn node ${code}`), { code })

describe("startError", () => {
  it("tells a lack of resources, which passes, from what somebody has to change", () => {
    for (const code of ["EAGAIN", "ENOMEM", "EMFILE", "ENFILE", "ENOSPC"])
      assert.strictEqual(startError(failure(code), "no agent").reason, "RuntimeDown", code)
    for (const code of ["ENOENT", "EACCES", "E2BIG", "ERR_INVALID_ARG_VALUE"])
      assert.strictEqual(startError(failure(code), "no agent").reason, "Configuration", code)
  })

  it("names what failed and why", () => {
    assert.strictEqual(startError(failure("EAGAIN"), "no agent").message, "no agent: spawn node EAGAIN")
  })
})
