/**
 * What a runner reads at its start, the same for every session of a group. The runner has a reader of its own, because nothing is
 * installed where it runs: a test asks both about every extreme. docs/exchange.md fixes the fields.
 */
import { Result, Schema } from "effect"
import { Group, GroupContainer, ProviderConfig } from "./Group.ts"
import { GroupId } from "./Ids.ts"
import { Policy } from "./Policy.ts"
import { platformZone } from "./ZoneOffsets.ts"

export const ContainerJson = Schema.Struct({
  provider: ProviderConfig.fields.name,
  command: ProviderConfig.fields.command,
  providerTimeoutMs: ProviderConfig.fields.timeoutMs,
  model: ProviderConfig.fields.model,
  assistantName: Group.fields.assistantName,
  groupName: Group.fields.name,
  agentGroupId: GroupId,
  maxMessagesPerPrompt: Policy.fields.maxMessagesPerPrompt,
  /** Groups of older versions may have names that `parseZone` refuses today; they go on. */
  zone: Schema.String.check(
    Schema.makeFilter((name) => platformZone(name) !== null, { expected: "an IANA time zone" }),
  ),
  mcpServers: Schema.Record(Schema.String, Schema.Never),
  skills: GroupContainer.fields.skills,
})
export type ContainerJson = typeof ContainerJson.Type

const decode = Schema.decodeUnknownResult(ContainerJson)

/** Of a group as it is stored; a failure says which field no runner would take. */
export const containerJsonOf = (
  group: Group,
  zone: string,
  maxMessagesPerPrompt: number,
): Result.Result<ContainerJson, string> =>
  Result.mapError(
    decode({
      provider: group.provider.name,
      command: group.provider.command,
      providerTimeoutMs: group.provider.timeoutMs,
      model: group.provider.model,
      assistantName: group.assistantName,
      groupName: group.name,
      agentGroupId: group.id,
      maxMessagesPerPrompt,
      zone,
      mcpServers: {},
      skills: group.container.skills,
    }),
    ({ message }) => message,
  )
