/** `group`: agent groups, their provider, zone, policy and where their agents may write. */
import { choice, number, text } from "./Flags.ts"
import { Effect, Option, Schema } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { describeGroupContainer, type Destination, type Group, plainGroup } from "../domain/Group.ts"
import { GroupId } from "../domain/Ids.ts"
import { PolicyText } from "../domain/Policy.ts"
import { changing, reading } from "./Asking.ts"
import { connectDaemon } from "./Connection.ts"
import { hints } from "./Invocation.ts"
import { containerChange, containerFlags } from "./ContainerFlags.ts"
import { show, table } from "./Output.ts"
import { CommandError, family, jsonFlag } from "./Root.ts"

const id = Argument.String("id").pipe(Argument.withSchema(GroupId))

/** Shared by `add` and `set`: what is not said stays as it is. */
const settings = {
  name: text("name", "For people"),
  assistant: text("assistant", "What the agent is called"),
  provider: text("provider", "echo, command, or one of the group's own runner"),
  command: text(
    "command",
    'The program of the provider "command": its path, or a JSON array with its arguments; or write it after --',
  ),
  program: Argument.String("program").pipe(
    Argument.withDescription('After --: the program of the provider "command", and its arguments'),
    Argument.variadic(),
  ),
  timeout: number("timeout-ms", "The longest silent turn of the provider, in ms"),
  model: text("model", "The model that the provider asks for"),
  zone: text("zone", "IANA time zone, or - for the daemon's"),
  policy: text("policy", 'Limits of this group as JSON, e.g. {"idleMs":60000}; replaces all of them'),
  destination: Flag.KeyValuePair("destination").pipe(
    Flag.withDescription(
      "Where agents may write: name=channel:platform, or name=agent:group; may be repeated; replaces all of them",
    ),
    Flag.optional,
  ),
  admin: text("admin", "Users who may use admin commands here, separated by commas; replaces all of them"),
  image: text("image", "Container image, or - for the configured one"),
  ...containerFlags,
  runner: choice(
    "runner",
    ["reoffers", "once"],
    "once: the runner never looks twice at a message, so a retry needs a fresh container",
  ),
}

type Settings = {
  readonly [Name in keyof typeof settings]: Command.Command.Config.Infer<typeof settings>[Name]
}

const decodePolicy = Schema.decodeUnknownEffect(Schema.fromJsonString(PolicyText), {
  onExcessProperty: "error",
})
const decodeWords = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.NonEmptyArray(Schema.String)))

const complaint = (flag: string, text: string, wanted: string) => (error: { readonly message: string }) =>
  new CommandError({ message: `--${flag} ${text} is not ${wanted}: ${error.message}` })

const destinationOf = (name: string, target: string): Effect.Effect<Destination, CommandError> => {
  const colon = target.indexOf(":")
  const kind = colon < 0 ? target : target.slice(0, colon)
  const rest = colon < 0 ? null : target.slice(colon + 1)
  const common = { name, displayName: null }
  if (kind === "agent") {
    return Schema.decodeUnknownEffect(GroupId)(rest).pipe(
      Effect.mapError(complaint("destination", `${name}=${target}`, "name=agent:<group>")),
      Effect.map((agentGroupId) => ({
        ...common,
        type: "agent" as const,
        channelType: null,
        platformId: null,
        agentGroupId,
      })),
    )
  }
  return Effect.succeed({
    ...common,
    type: "channel",
    channelType: kind,
    platformId: rest,
    agentGroupId: null,
  })
}

const unlessDash = (text: string): string | null => (text === "-" ? null : text)

/** An agent that writes to a group which is not there would write into the void. */
const checkAgents = Effect.fnUntraced(function* <E, R>(
  self: GroupId,
  destinations: ReadonlyArray<Destination>,
  groups: Effect.Effect<ReadonlyArray<Group>, E, R>,
) {
  const wanted = destinations.filter(({ agentGroupId }) => agentGroupId !== null && agentGroupId !== self)
  if (wanted.length === 0) return
  const known = (yield* groups).map(({ id }) => id)
  for (const { agentGroupId, name } of wanted) {
    if (agentGroupId === null || known.includes(agentGroupId)) continue
    return yield* new CommandError({
      message: `--destination ${name}=agent:${agentGroupId} names a group that does not exist; add it first with 'lamplighter group add ${agentGroupId}'`,
    })
  }
})

/** A path, a JSON array, or the words after `--`. A line for a shell is none of them: nobody says how it is split. */
const commandOf = Effect.fnUntraced(function* ({ command, program }: Settings) {
  const [first, ...rest] = program
  if (Option.isNone(command)) return first === undefined ? undefined : ([first, ...rest] as const)
  const text = command.value
  if (first !== undefined) {
    return yield* new CommandError({
      message: `--command ${text} and the words after -- both name a program`,
    })
  }
  if (/^[^\s[]\S*$/.test(text)) return [text] as const
  return yield* decodeWords(text).pipe(
    Effect.mapError(
      complaint(
        "command",
        text,
        `a path or a JSON array such as ["node","agent.js"]; words may also follow --`,
      ),
    ),
  )
})

/** The fields that the flags say, over those that are there. */
const changesOf = Effect.fn(function* (input: Settings, stored: Pick<Group, "provider" | "container">) {
  const { provider } = stored
  const container = yield* containerChange(input, stored.container)
  const some = <A, B>(option: Option.Option<A>, field: string, as: (value: A) => B) =>
    Option.isSome(option) ? { [field]: as(option.value) } : {}
  const policy = Option.isSome(input.policy)
    ? yield* decodePolicy(input.policy.value).pipe(
        Effect.mapError(
          complaint("policy", input.policy.value, `limits in JSON, such as {"idleMs":"5 minutes"}`),
        ),
      )
    : undefined
  const destinations = Option.isSome(input.destination)
    ? yield* Effect.forEach(Object.entries(input.destination.value), ([name, target]) =>
        destinationOf(name, target),
      )
    : undefined
  return {
    ...some(input.name, "name", String),
    ...some(input.assistant, "assistantName", String),
    provider: {
      name: Option.getOrElse(input.provider, () => provider.name),
      command: (yield* commandOf(input)) ?? provider.command,
      timeoutMs: Option.getOrElse(input.timeout, () => provider.timeoutMs),
      model: Option.getOrElse(input.model, () => provider.model),
    },
    ...some(input.zone, "zone", unlessDash),
    ...(policy === undefined ? {} : { policy }),
    ...(destinations === undefined ? {} : { destinations }),
    ...some(input.admin, "admins", (text) => text.split(",").filter((user) => user !== "")),
    ...some(input.image, "imageTag", unlessDash),
    ...(container === undefined ? {} : { container }),
    ...some(input.runner, "runnerReoffers", (runner) => runner === "reoffers"),
  }
})

const add = Command.make("add", { id, ...settings, json: jsonFlag }, (input) =>
  Effect.gen(function* () {
    const plain = plainGroup(input.id)
    const changes = yield* changesOf(input, {
      provider:
        Option.isSome(input.command) || input.program.length > 0
          ? { ...plain.provider, name: "command" }
          : plain.provider,
      container: plain.container,
    })
    const payload = {
      ...plain,
      assistantName: Option.getOrElse(input.name, () => input.id),
      ...changes,
    }
    const api = yield* connectDaemon
    yield* checkAgents(input.id, payload.destinations, api.groups())
    const group = yield* api.addGroup(payload)
    const say = yield* hints
    yield* show(input.json, group, () => [
      say(`group ${group.id} is there; talk to it with: lamplighter send ${group.id} "hello" --wait`),
    ])
  }),
).pipe(Command.withDescription("Add an agent group"))

const set = Command.make(
  "set",
  {
    id,
    ...settings,
    revision: number("revision", "Refuse if somebody else changed the group since this revision"),
    json: jsonFlag,
  },
  (input) =>
    Effect.gen(function* () {
      const api = yield* connectDaemon
      const stored = yield* api.group({ id: input.id })
      const changes = yield* changesOf(input, stored)
      yield* checkAgents(input.id, changes.destinations ?? [], api.groups())
      const group = yield* api.updateGroup({
        id: input.id,
        revision: Option.getOrElse(input.revision, () => stored.revision),
        ...changes,
      })
      yield* show(input.json, group, () => lines(group))
    }),
).pipe(Command.withDescription("Change a group; containers that run keep what they started with"))

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
    queued: Flag.Literals("queued", ["refuse", "cancel"]).pipe(
      Flag.withDescription(
        "What becomes of messages and tasks that have not ended; refuse: nothing is removed",
      ),
      Flag.withDefault("refuse" as const),
    ),
  },
  (group) => [`group ${group.id} is removed; its history stays`],
)

export const groupCommand = family("group", [add, list, showGroup, set, remove])
