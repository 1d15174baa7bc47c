/** `group`: agent groups, their provider, zone, policy and where their agents may write. */
import { Effect, Option, Schema } from "effect"
import { Argument, Flag } from "effect/cli"
import { describeGroupContainer, type Destination, type Group, plainGroup } from "../domain/Group.ts"
import { GroupId } from "../domain/Ids.ts"
import { PolicyText } from "../domain/Policy.ts"
import { changing, reading } from "./Asking.ts"
import { connectDaemon } from "./Connection.ts"
import { containerChange, containerFlags } from "./ContainerFlags.ts"
import { choice, choiceOr, number, type Said, text, textAs, unlessDash, wordsOf } from "./Flags.ts"
import { jsonOf, readAs } from "./FlagTexts.ts"
import { table } from "./Output.ts"
import { family, refusal, showing } from "./Root.ts"

const id = Argument.String("id").pipe(Argument.withSchema(GroupId))

/** Shared by `add` and `set`: what is not said stays as it is. */
const settings = {
  plain: {
    name: text("name", "For people"),
    assistantName: text("assistant", "What the agent is called"),
    zone: textAs("zone", unlessDash, "IANA time zone, or - for the daemon's"),
    admins: textAs(
      "admin",
      wordsOf,
      "Users who may use admin commands here, separated by commas; replaces all of them",
    ),
    imageTag: textAs("image", unlessDash, "Container image, or - for the configured one"),
    runnerReoffers: Flag.map(
      choice(
        "runner",
        ["reoffers", "once"],
        "once: the runner never looks twice at a message, so a retry needs a fresh container",
      ),
      Option.map((runner) => runner === "reoffers"),
    ),
  },
  provider: {
    name: text("provider", "echo, command, or one of the group's own runner"),
    timeoutMs: number("timeout-ms", "The longest silent turn of the provider, in ms"),
    model: text("model", "The model that the provider asks for"),
  },
  command: text(
    "command",
    'The program of the provider "command": its path, or a JSON array with its arguments; or write it after --',
  ),
  program: Argument.String("program").pipe(
    Argument.withDescription('After --: the program of the provider "command", and its arguments'),
    Argument.variadic(),
  ),
  policy: text("policy", 'Limits of this group as JSON, e.g. {"idleMs":60000}; replaces all of them'),
  destination: Flag.KeyValuePair("destination").pipe(
    Flag.withDescription(
      "Where agents may write: name=channel:platform, or name=agent:group; may be repeated; replaces all of them",
    ),
    Flag.optional,
  ),
  container: containerFlags,
}

type Settings = Said<typeof settings>

const decodePolicy = jsonOf(PolicyText)
const decodeWords = jsonOf(Schema.NonEmptyArray(Schema.String))
const decodeGroup = Schema.decodeUnknownEffect(GroupId)

const destinationOf = ([name, target]: readonly [string, string]) => {
  const [, kind = target, rest = null] = /^([^:]*):(.*)$/s.exec(target) ?? []
  const plain = { name, displayName: null, channelType: null, platformId: null, agentGroupId: null }
  if (kind !== "agent")
    return Effect.succeed<Destination>({ ...plain, type: "channel", channelType: kind, platformId: rest })
  return decodeGroup(rest).pipe(
    Effect.map((agentGroupId): Destination => ({ ...plain, type: "agent", agentGroupId })),
    Effect.mapError(({ message }) =>
      refusal(`--destination ${name}=${target} is not name=agent:<group>: ${message}`),
    ),
  )
}

/** An agent that writes to a group which is not there would write into the void. */
const checkAgents = Effect.fnUntraced(function* <E, R>(
  self: GroupId,
  destinations: ReadonlyArray<Destination>,
  groups: Effect.Effect<ReadonlyArray<Group>, E, R>,
) {
  const others = destinations.filter(({ agentGroupId }) => agentGroupId !== null && agentGroupId !== self)
  if (others.length === 0) return
  const known = (yield* groups).map(({ id }) => id)
  for (const { agentGroupId, name } of others) {
    if (agentGroupId === null || known.includes(agentGroupId)) continue
    return yield* refusal(
      `--destination ${name}=agent:${agentGroupId} names a group that does not exist; add it first with 'lamplighter group add ${agentGroupId}'`,
    )
  }
})

/** A path, a JSON array, or the words after `--`. A line for a shell is none of them: nobody says how it is split. */
const commandOf = Effect.fnUntraced(function* ({ command, program }: Settings) {
  const [first, ...rest] = program
  if (command === undefined) return first === undefined ? undefined : ([first, ...rest] as const)
  if (first !== undefined)
    return yield* refusal(`--command ${command} and the words after -- both name a program`)
  if (/^[^\s[]\S*$/.test(command)) return [command] as const
  return yield* readAs(
    "command",
    command,
    decodeWords,
    `is not a path or a JSON array such as ["node","agent.js"]; words may also follow --`,
  )
})

/** The fields that the flags say, over those that are there. */
const changesOf = Effect.fn(function* (said: Settings, stored: Pick<Group, "provider" | "container">) {
  const container = yield* containerChange(said.container, stored.container)
  const policy = yield* readAs(
    "policy",
    said.policy,
    decodePolicy,
    `is not limits in JSON, such as {"idleMs":"5 minutes"}`,
  )
  const command = (yield* commandOf(said)) ?? stored.provider.command
  return {
    ...said.plain,
    provider: { ...stored.provider, ...said.provider, command },
    ...(policy === undefined ? {} : { policy }),
    ...(said.destination === undefined
      ? {}
      : { destinations: yield* Effect.forEach(Object.entries(said.destination), destinationOf) }),
    ...(container === undefined ? {} : { container }),
  }
})

/** Reads its flags before it looks for a daemon: a bad flag is told whether or not one runs. */
const add = showing(
  "add",
  "Add an agent group",
  { id, settings },
  Effect.fnUntraced(function* ({ id, settings: said }) {
    const plain = plainGroup(id)
    const isProgram = said.command !== undefined || said.program.length > 0
    const provider = isProgram ? { ...plain.provider, name: "command" } : plain.provider
    const changes = yield* changesOf(said, { ...plain, provider })
    const group = { ...plain, assistantName: said.plain.name ?? id, ...changes }
    const api = yield* connectDaemon
    yield* checkAgents(id, group.destinations, api.groups())
    return yield* api.addGroup(group)
  }),
  ({ id }, _, say) => [say(`group ${id} is there; talk to it with: lamplighter send ${id} "hello" --wait`)],
)

const set = changing(
  (api) =>
    Effect.fnUntraced(function* ({ id, revision, settings: said }) {
      const stored = yield* api.group({ id })
      const changes = yield* changesOf(said, stored)
      yield* checkAgents(id, changes.destinations ?? [], api.groups())
      return yield* api.updateGroup({ id, revision: revision ?? stored.revision, ...changes })
    }),
  "set",
  "Change a group; containers that run keep what they started with",
  {
    id,
    settings,
    revision: number("revision", "Refuse if somebody else changed the group since this revision"),
  },
  (group) => lines(group),
)

const list = reading(
  (api) => api.groups,
  "list",
  "List agent groups",
  {},
  (groups) =>
    table(groups, {
      id: (group) => group.id,
      name: (group) => group.name,
      provider: (group) => group.provider.name,
      zone: (group) => group.zone ?? "-",
      destinations: (group) => group.destinations.map(({ name }) => name).join(",") || "-",
    }),
)

const lines = (group: Group): ReadonlyArray<string> => [
  `id: ${group.id}`,
  `name: ${group.name}`,
  `assistant: ${group.assistantName}`,
  `provider: ${group.provider.name}${group.provider.command === null ? "" : ` ${JSON.stringify(group.provider.command)}`}`,
  `zone: ${group.zone ?? "the daemon's"}`,
  `image: ${group.imageTag ?? "the configured one"}`,
  `admins: ${group.admins.join(", ") || "-"}`,
  ...group.destinations.map((to) =>
    to.type === "agent"
      ? `destination: ${to.name} = the agents of ${to.agentGroupId ?? "-"}`
      : `destination: ${to.name} = ${to.channelType ?? "-"}:${to.platformId ?? ""}`,
  ),
  ...describeGroupContainer(group.container),
  ...Object.entries(group.policy).map(([name, value]) => `policy: ${name} = ${String(value)}`),
  `revision: ${group.revision}`,
]

const showGroup = reading((api) => api.group, "show", "Show one group", { id }, lines)

const remove = changing(
  (api) => api.removeGroup,
  "remove",
  "Remove a group; what it did stays in the history",
  {
    id,
    queued: choiceOr(
      "queued",
      ["refuse", "cancel"],
      "refuse",
      "What becomes of messages and tasks that have not ended; refuse: nothing is removed",
    ),
  },
  (group) => [`group ${group.id} is removed; its history stays`],
)

export const groupCommand = family("group", [add, list, showGroup, set, remove])
