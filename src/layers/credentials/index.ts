/** Credentials as consumers import them: where an agent's credentials come from, one way a module. */
export * as GatewayCredentials from "./GatewayCredentials.ts"
export * as OneCliGateway from "./OneCliGateway.ts"
export * as StaticCredentials from "./StaticCredentials.ts"
