/**
 * Which folders of the host a group's containers see beyond its own. Asked at each wake, because an allowlist and what lies on a disk
 * change; where nothing answers, nothing is admitted.
 */
import { Context, Effect } from "effect"
import type { MountDecision, MountRequest } from "../domain/MountPolicy.ts"

export interface HostMountsService {
  /** One decision per request, in their order. */
  readonly decide: (requests: ReadonlyArray<MountRequest>) => Effect.Effect<ReadonlyArray<MountDecision>>
}

export const HostMounts = Context.Reference<HostMountsService>("lamplighter/services/HostMounts", {
  defaultValue: () => ({
    decide: (requests) =>
      Effect.succeed(
        requests.map((request) => ({
          _tag: "Refused",
          request,
          reason: "not-allowed",
          message: `${request.source} can't be mounted: this runtime mounts nothing of the host`,
        })),
      ),
  }),
})
