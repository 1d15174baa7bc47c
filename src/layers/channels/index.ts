/** The channels as consumers import them: the registry that is made from settings, and each kind by itself. */
export * as ChannelRegistry from "./ChannelRegistry.ts"
export * as FileChannel from "./FileChannel.ts"
export * as StdoutChannel from "./StdoutChannel.ts"
export * as WebhookChannel from "./WebhookChannel.ts"
export * as WebhookSignature from "./WebhookSignature.ts"
