/**
 * The channels that exist, for requests that name one: a name that no channel has is refused where a person reads the answer, and not
 * hours later, when a delivery finds nobody to take it. Undefined: nobody knows the channels, and every name will do.
 */
export type KnownChannels = ReadonlyArray<string> | undefined

/** What is wrong with this name, as the end of a sentence; undefined if a channel has it. */
export const channelProblem = (known: KnownChannels, channelType: string): string | undefined =>
  known === undefined || known.includes(channelType)
    ? undefined
    : `names the channel '${channelType}', which is not configured; there are ${known.join(", ")}: use one of them, or add it under "channels" in the configuration and start the daemon again`
