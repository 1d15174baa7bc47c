/** Requests about agent groups: what they may say beyond their schema, and how a change meets the group that is there. */
import { Clock, Effect, Result } from "effect"
import { defaultGroupContainer, type Group } from "../../domain/Group.ts"
import { describeProblem } from "../../domain/TextProblem.ts"
import { parseZone } from "../../domain/Zone.ts"
import { Conflict, Invalid } from "../ledger/Refusals.ts"
import type { Nudge } from "../Nudge.ts"
import { ProviderRegistry, type ProviderRegistryService } from "../ProviderRegistry.ts"
import { SessionStore } from "../SessionStore.ts"
import type { InputOf } from "./Contract.ts"
import { channelProblem, type KnownChannels } from "./KnownChannels.ts"
import { existing } from "./Lookup.ts"
import type { NewGroup } from "./Requests.ts"
import { isImageName } from "../../domain/ImagePlan.ts"

export const makeGroupRequests = Effect.fnUntraced(function* (options: {
  readonly look: Nudge
  readonly channels?: KnownChannels
}) {
  const store = yield* SessionStore
  const providers = yield* ProviderRegistry
  const check = (group: Settings) => {
    const found = problemOf(group, options.channels, providers)
    return found === undefined ? Effect.void : Effect.fail(new Invalid(found))
  }
  const group = ({ id }: InputOf<"group">) =>
    Effect.flatMap(
      store.read((reader) => reader.group(id)),
      existing("group", id),
    )

  return {
    group,
    groups: () => store.read((reader) => reader.groups()),
    addGroup: Effect.fnUntraced(function* (added: NewGroup) {
      yield* check(added)
      const stored = yield* store.read((reader) => reader.group(added.id))
      if (stored !== undefined) {
        return yield* new Conflict({
          message: `group '${added.id}' exists already, at revision ${stored.revision}; 'lamplighter group set ${added.id}' changes it`,
        })
      }
      const createdAt = yield* Clock.currentTimeMillis
      return yield* store.putGroup({
        ...added,
        container: added.container ?? defaultGroupContainer,
        createdAt,
        revision: 1,
      })
    }),
    removeGroup: Effect.fnUntraced(function* ({ id, queued = "refuse" }: InputOf<"removeGroup">) {
      for (;;) {
        const removal = yield* store.removeGroup(id, queued)
        yield* options.look.ring
        if (removal._tag === "Removed") return removal.group
      }
    }),
    updateGroup: Effect.fnUntraced(function* ({ id, revision, ...change }: InputOf<"updateGroup">) {
      const stored = yield* group({ id })
      const changed: Group = { ...stored, ...change, revision: (revision ?? stored.revision) + 1 }
      yield* check(changed)
      return yield* Effect.tap(store.putGroup(changed), options.look.ring)
    }),
  }
})

type Settings = Omit<NewGroup, "id">

const problemOf = (
  group: Settings,
  channels: KnownChannels,
  providers: ProviderRegistryService,
): { readonly field: string; readonly message: string } | undefined => {
  if (group.zone !== null) {
    const zone = parseZone(group.zone)
    if (Result.isFailure(zone)) return { field: "zone", message: describeProblem(group.zone, zone.failure) }
  }
  const unknown = providers.refuse({ container: defaultGroupContainer, ...group })
  if (unknown !== null) return { field: "provider", message: unknown }
  if (group.provider.name === "command" && group.provider.command === null) {
    return {
      field: "provider",
      message: `the provider 'command' needs the program to run, as a list of words`,
    }
  }
  if (group.imageTag !== null && !isImageName(group.imageTag)) {
    return {
      field: "imageTag",
      message: `'${group.imageTag}' is no image's name; expected one such as registry.example.org/agents:24`,
    }
  }
  const targets = (group.container?.mounts ?? []).map(({ target }) => target)
  const twice = targets.find((target, index) => targets.indexOf(target) !== index)
  if (twice !== undefined) {
    return { field: "container", message: `two mounts are called '${twice}'; targets must differ` }
  }
  for (const [index, destination] of group.destinations.entries()) {
    const { name } = destination
    const isTwice = group.destinations.slice(0, index).some((before) => before.name === name)
    const message = isTwice ? "is there twice; names must differ" : problemOfTarget(destination, channels)
    if (message !== undefined) return { field: "destinations", message: `destination '${name}' ${message}` }
  }
  return undefined
}

const problemOfTarget = (
  { agentGroupId, channelType, type }: Settings["destinations"][number],
  channels: KnownChannels,
): string | undefined => {
  if (type === "agent") {
    return agentGroupId === null ? "is an agent; say which group receives, as agentGroupId" : undefined
  }
  return channelType === null
    ? "is a channel; say which, as channelType"
    : channelProblem(channels, channelType)
}
