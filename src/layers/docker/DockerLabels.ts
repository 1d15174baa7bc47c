/** Labels by which an install finds its own containers, and nobody else's, on an engine that many share. */
import { Option, Schema } from "effect"
import type { InstallId } from "../../domain/Ids.ts"
import { ContainerLabels } from "../../services/ContainerRuntime.ts"

const PREFIX = "io.lamplighter"
const INSTALL = `${PREFIX}.install`

export const engineLabels = (labels: ContainerLabels): Readonly<Record<string, string>> => ({
  [INSTALL]: labels.install,
  [`${PREFIX}.group`]: labels.group,
  [`${PREFIX}.session`]: labels.session,
  [`${PREFIX}.incarnation`]: String(labels.incarnation),
})

/** The filter of a listing or an event stream, for one install. */
export const labelFilter = (install: InstallId): string => `${INSTALL}=${install}`

const decode = Schema.decodeUnknownOption(ContainerLabels)

/** What an engine tells, as labels of ours, or `undefined` when it is not exactly so. */
export const labelsOfEngine = (
  told: Readonly<Record<string, string>> | undefined,
): ContainerLabels | undefined => {
  const incarnation = told?.[`${PREFIX}.incarnation`]
  if (told === undefined || incarnation === undefined || !/^(?:0|[1-9][0-9]{0,9})$/.test(incarnation))
    return undefined
  return Option.getOrUndefined(
    decode({
      install: told[INSTALL],
      group: told[`${PREFIX}.group`],
      session: told[`${PREFIX}.session`],
      incarnation: Number(incarnation),
    }),
  )
}
