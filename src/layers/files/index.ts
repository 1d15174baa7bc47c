/** What a daemon keeps in plain files, as consumers import it: groups' folders and exit logs, the allowlist of mounts, checks of a host. */
export * as HostChecks from "./HostChecks.ts"
export * as LocalMounts from "./LocalMounts.ts"
export * as LocalWorkspace from "./LocalWorkspace.ts"
