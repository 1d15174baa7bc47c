import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { GroupId, SessionId } from "../../src/domain/Ids.ts"

const isGroupId = Schema.is(GroupId)

describe("a group id", () => {
  it("is short, lower case, and safe as the name of a folder", () => {
    for (const id of ["a", "0", "team-1_x", "globals", "a".repeat(63)]) assert.isTrue(isGroupId(id), id)
    for (const id of ["", "-a", "_a", "A", "a b", "a/b", "a.b", "a\n", "é", "a".repeat(64)]) {
      assert.isFalse(isGroupId(id), JSON.stringify(id))
    }
  })

  it("is not 'global', which is the shared memory, and the error says so", () => {
    assert.isFalse(isGroupId("global"))
    assert.throws(() => Schema.decodeUnknownSync(GroupId)("global"), /not 'global'/)
    assert.throws(() => Schema.decodeUnknownSync(GroupId)("Team One"), /1 to 63 of a-z/)
  })

  it.effect.prop("can be generated, like every other id", [GroupId, SessionId], ([group, session]) =>
    Effect.sync(() => {
      assert.match(group, /^[a-z0-9][a-z0-9_-]{0,62}$/)
      assert.notStrictEqual(group, "global")
      assert.match(session, /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/)
    }),
  )
})
