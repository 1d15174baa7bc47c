/**
 * Slash commands, gated at ingress before a message is accepted: some make sense in a terminal only and are dropped, some
 * change or reveal the session and are for those in charge. Everything else, unknown commands included, is for the agent.
 */

/** Names without the slash, in lower case. A name in both lists is filtered. */
export interface CommandTable {
  readonly filtered: ReadonlyArray<string>
  readonly admin: ReadonlyArray<string>
}

export const defaultCommands: CommandTable = {
  filtered: [
    "start",
    "help",
    "login",
    "logout",
    "doctor",
    "config",
    "remote-control",
    "terminal-setup",
    "theme",
    "vim",
    "exit",
    "quit",
  ],
  admin: [
    "clear",
    "compact",
    "context",
    "cost",
    "files",
    "usage",
    "model",
    "permissions",
    "mcp",
    "hooks",
    "agents",
    "memory",
    "add-dir",
  ],
}

/** User ids, as the channel gives them. Read afresh for each command. */
export interface CommandRoles {
  readonly owners: ReadonlyArray<string>
  readonly globalAdmins: ReadonlyArray<string>
  readonly groupAdmins: ReadonlyArray<string>
}

/** `command` with its slash, in lower case; `message` is for the user who sent it. */
export type CommandDecision =
  | { readonly _tag: "Pass" }
  | { readonly _tag: "Drop"; readonly command: string }
  | { readonly _tag: "Refuse"; readonly command: string; readonly message: string }

const PASS: CommandDecision = { _tag: "Pass" }

/** `userId: null`: nobody known, who is in charge of nothing. */
export const gateCommand = (
  input: { readonly text: string; readonly userId: string | null },
  roles: CommandRoles,
  commands: CommandTable,
): CommandDecision => {
  const name = commandName(input.text)
  if (name === null) return PASS
  const command = `/${name}`
  if (commands.filtered.includes(name)) return { _tag: "Drop", command }
  if (!commands.admin.includes(name) || isAdmin(input.userId, roles)) return PASS
  return {
    _tag: "Refuse",
    command,
    message: `${command} is for admins of this group; ask one of them or an owner`,
  }
}

const isAdmin = (userId: string | null, roles: CommandRoles): boolean =>
  userId !== null && [roles.owners, roles.globalAdmins, roles.groupAdmins].some((ids) => ids.includes(userId))

/**
 * A slash and a letter, up to the first white space. White space in front is skipped, because whoever reads the prompt may trim it
 * and see a command; an address as in `/clear@bot` is cut off, because chat apps add it. `/tmp/x` and `/ clear` are no commands.
 */
const commandName = (text: string): string | null =>
  /^\s*\/([A-Za-z][A-Za-z0-9_-]{0,63})(?:@\S*)?(?:\s|$)/.exec(text)?.[1]?.toLowerCase() ?? null
