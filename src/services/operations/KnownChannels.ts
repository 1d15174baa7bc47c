/**
 * The channels that exist, for requests that name one: a name that no channel has is refused where a person reads the answer, and not
 * hours later, when a delivery finds nobody to take it.
 */
export interface KnownChannels {
  /** What is wrong with this name, as the end of a sentence; undefined if a channel has it. */
  readonly problemOf: (channelType: string) => string | undefined
}

/** Where nobody knows the channels, every name will do. */
export const unknownChannels: KnownChannels = { problemOf: () => undefined }

export const knownChannels = (types: ReadonlyArray<string>): KnownChannels => ({
  problemOf: (channelType) =>
    types.includes(channelType)
      ? undefined
      : `names the channel '${channelType}', which is not configured; there are ${types.join(", ")}: use one of them, or add it under "channels" in the configuration and start the daemon again`,
})
