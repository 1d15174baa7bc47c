/** What an engine's words mean: which refusals are the engine's trouble, which a group's; and whose a container is. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { InstallId } from "../../../src/domain/Ids.ts"
import { EngineError } from "../../../src/layers/docker/DockerEngine.ts"
import { engineLabels, labelFilter, labelsOfEngine } from "../../../src/layers/docker/DockerLabels.ts"
import { startErrorOf } from "../../../src/layers/docker/DockerStartError.ts"
import { ContainerLabels } from "../../../src/services/ContainerRuntime.ts"

const refused = (status: number, message: string) =>
  startErrorOf(new EngineError({ kind: "refused", status, message }), "agent:1")

describe("a start that an engine refuses", () => {
  it.each([
    [404, "No such image: agent:1", "ImageMissing"],
    [404, "No such container: abc", "NameTaken"],
    [409, "container is marked for removal and cannot be started", "NameTaken"],
    [500, "mkdir /var/lib/docker/overlay2/x: no space left on device", "RuntimeDown"],
    [500, "fork/exec /proc/self/exe: resource temporarily unavailable", "RuntimeDown"],
    [503, "the engine is shutting down", "RuntimeDown"],
    [400, 'invalid mount config for type "bind": bind source path does not exist: /x', "Configuration"],
    [404, "network inside not found", "Configuration"],
    [500, 'OCI runtime create failed: exec: "nothing": executable file not found in $PATH', "Configuration"],
  ] as const)("%i %s is %s", (status, message, reason) => {
    const error = refused(status, message)
    assert.strictEqual(error.reason, reason)
    assert.include(error.message, reason === "ImageMissing" ? "agent:1" : message)
  })

  it("one that was never asked is down, one that did not answer may have done it", () => {
    assert.strictEqual(
      startErrorOf(new EngineError({ kind: "unreachable", status: null, message: "x" }), "i").reason,
      "RuntimeDown",
    )
    assert.strictEqual(
      startErrorOf(new EngineError({ kind: "unanswered", status: null, message: "x" }), "i").reason,
      "Ambiguous",
    )
  })
})

describe("the labels of a container", () => {
  it.prop("come back as they went", [ContainerLabels], ([labels]) => {
    assert.deepStrictEqual(labelsOfEngine(engineLabels(labels)), labels)
  })

  it.prop("are nobody's when one is missing", [ContainerLabels], ([labels]) => {
    const told = engineLabels(labels)
    for (const name of Object.keys(told)) {
      const { [name]: _, ...rest } = told
      assert.isUndefined(labelsOfEngine(rest))
    }
  })

  it("are nobody's when one is not exactly of its kind", () => {
    const told = engineLabels(
      Schema.decodeSync(ContainerLabels)({
        install: "install1",
        group: "g",
        session: "s",
        incarnation: 3,
      }),
    )
    assert.isDefined(labelsOfEngine(told))
    for (const incarnation of ["", "03", "3.0", "1e3", "-1", "99999999999", "0x1"])
      assert.isUndefined(labelsOfEngine({ ...told, "io.lamplighter.incarnation": incarnation }), incarnation)
    for (const session of ["", "../x", "a/b", "a\nb"])
      assert.isUndefined(labelsOfEngine({ ...told, "io.lamplighter.session": session }), session)
    assert.isUndefined(labelsOfEngine(undefined))
    assert.strictEqual(
      labelFilter(Schema.decodeSync(InstallId)("install1")),
      "io.lamplighter.install=install1",
    )
  })
})
