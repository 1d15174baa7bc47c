/** The files that the host composes for agents and operators: group folders, container.json, session lists, exit logs. */
import { Context, type Effect, Schema } from "effect"
import type { ContainerJson } from "../domain/ContainerJson.ts"
import type { SkillFolders } from "../domain/ContainerSpec.ts"
import type { Group } from "../domain/Group.ts"
import type { SessionId } from "../domain/Ids.ts"
import type { EpochMs } from "../domain/Instant.ts"
import type { Pair } from "./Mailbox.ts"

export class WorkspaceError extends Schema.TaggedError<WorkspaceError>()("WorkspaceError", {
  message: Schema.String,
}) {}

export interface GroupPaths {
  readonly groupDir: string
  readonly globalDir: string
  readonly containerJson: string
  /** What the group's agents keep under /home/node/.claude. */
  readonly stateDir?: string
  readonly skills?: SkillFolders
}

export class Workspace extends Context.Service<
  Workspace,
  {
    /** Whether exits with code 0 leave a log too. Every other exit does. */
    readonly zeroExitLogs: "keep" | "discard"
    /** Makes the group's folders if they are missing, and writes container.json (temporary file, rename) if it differs. */
    readonly prepareGroup: (group: Group, json: ContainerJson) => Effect.Effect<GroupPaths, WorkspaceError>
    /** Writes current_tasks.json and available_groups.json into the pair's `in/`. */
    readonly writeSessionLists: (
      pair: Pair,
      lists: { readonly tasks: ReadonlyArray<unknown>; readonly groups: ReadonlyArray<unknown> },
    ) => Effect.Effect<void, WorkspaceError>
    /** Writes one exit log, bounded, and removes those past the retention. Returns its path. */
    readonly writeExitLog: (log: {
      readonly sessionId: SessionId
      readonly incarnation: number
      readonly at: EpochMs
      readonly header: ReadonlyArray<readonly [string, string]>
      /** What it wrote. */
      readonly text: string
    }) => Effect.Effect<string, WorkspaceError>
  }
>()("lamplighter/services/Workspace") {}
