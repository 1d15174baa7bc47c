/** Labels by which an install finds its own containers, and nobody else's, on an engine that many share. */
import type { InstallId } from "../../domain/Ids.ts"
import type { ContainerLabels } from "../../services/ContainerRuntime.ts"
import { labelsAsText, labelsOfText } from "../runtime/Launching.ts"

const called = (name: string): string => `io.lamplighter.${name}`

export const engineLabels = (labels: ContainerLabels): Readonly<Record<string, string>> =>
  Object.fromEntries(labelsAsText(labels, called))

/** The filter of a listing or an event stream, for one install. */
export const labelFilter = (install: InstallId): string => `${called("install")}=${install}`

/** What an engine tells, as labels of ours, or `undefined` when it is not exactly so. */
export const labelsOfEngine = (
  told: Readonly<Record<string, string>> | undefined,
): ContainerLabels | undefined => labelsOfText((name) => told?.[called(name)])
