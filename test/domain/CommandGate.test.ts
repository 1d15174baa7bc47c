import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { type CommandRoles, defaultCommands, gateCommand } from "../../src/domain/CommandGate.ts"

const roles: CommandRoles = { owners: ["owner"], globalAdmins: ["root"], groupAdmins: ["ada"] }

const gate = (text: string, userId: string | null = "guest") =>
  gateCommand({ text, userId }, roles, defaultCommands)

describe("the command gate", () => {
  it("drops commands that only make sense in a terminal, whoever sends them", () => {
    for (const userId of ["guest", "owner", "ada", null]) {
      assert.deepStrictEqual(gate("/help", userId), { _tag: "Drop", command: "/help" })
    }
    for (const name of ["/login", "/logout", "/doctor", "/config", "/start"]) {
      assert.strictEqual(gate(name)._tag, "Drop", name)
    }
  })

  it("lets admin commands of owners, global admins and admins of the group pass, and refuses all others", () => {
    for (const name of ["/clear", "/compact", "/context", "/cost", "/files"]) {
      for (const userId of ["owner", "root", "ada"]) assert.strictEqual(gate(name, userId)._tag, "Pass")
      for (const userId of ["guest", "OWNER", "", null]) assert.strictEqual(gate(name, userId)._tag, "Refuse")
    }
  })

  it("says in the refusal which command it was and whom to ask", () => {
    const refused = gate("/clear everything")
    assert.deepStrictEqual(refused, {
      _tag: "Refuse",
      command: "/clear",
      message: "/clear is for admins of this group; ask one of them or an owner",
    })
  })

  it("lets unknown commands and everything that is no command pass", () => {
    const plain = [
      "/deploy now",
      "hello",
      "",
      "/",
      "//help",
      "/ help",
      "/1help",
      "see /help",
      "/helpful",
      "/help/me",
    ]
    for (const text of plain) assert.deepStrictEqual(gate(text), { _tag: "Pass" }, text)
  })

  it("ignores case, what follows, an address, and white space that a reader may trim", () => {
    for (const text of [
      "/HELP",
      "/Help me",
      "/help\nplease",
      "/help\t",
      "/help@bot",
      "/help@bot now",
      " \n/help",
    ]) {
      assert.deepStrictEqual(gate(text), { _tag: "Drop", command: "/help" }, JSON.stringify(text))
    }
    assert.strictEqual(gate("\u00a0/cLeAr\u00a0all")._tag, "Refuse")
  })

  it("reads the roles that it is given, every time", () => {
    const nobody = { owners: [], globalAdmins: [], groupAdmins: [] }
    const clear = { text: "/clear", userId: "ada" }
    assert.strictEqual(gateCommand(clear, nobody, defaultCommands)._tag, "Refuse")
    assert.strictEqual(gateCommand(clear, roles, defaultCommands)._tag, "Pass")
  })

  it("filters a command that is in both lists, and knows only the table's", () => {
    const table = { filtered: ["both"], admin: ["both", "own"] }
    assert.strictEqual(gateCommand({ text: "/both", userId: "owner" }, roles, table)._tag, "Drop")
    assert.strictEqual(gateCommand({ text: "/own", userId: "guest" }, roles, table)._tag, "Refuse")
    assert.strictEqual(gateCommand({ text: "/help", userId: "guest" }, roles, table)._tag, "Pass")
  })

  it("has a default table that it can match", () => {
    for (const name of [...defaultCommands.filtered, ...defaultCommands.admin]) {
      assert.notStrictEqual(gate(`/${name}`, null)._tag, "Pass", name)
    }
  })

  it.prop("passes every text without a slash in front", [Schema.String], ([text]) => {
    if (!text.trim().startsWith("/")) assert.strictEqual(gate(text, null)._tag, "Pass")
  })

  it.prop("lets nothing after the command matter", [Schema.String], ([rest]) => {
    assert.strictEqual(gate(`/clear ${rest}`)._tag, "Refuse")
    assert.strictEqual(gate(`/clear ${rest}`, "owner")._tag, "Pass")
  })
})
