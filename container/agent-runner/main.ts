/**
 * The agent runner: what runs inside a container of a session. It reads inbound.db, answers with a provider, and writes
 * outbound.db; docs/exchange.md is its whole contract with the host. Arguments label the process for the host and mean nothing.
 *
 * Exit codes: 0 told to stop; 70 a fault of its own; 74 outbound.db could not be written; 78 its configuration is wrong.
 */
import { clearStale } from "./Claims.ts"
import { type Configuration, ConfigurationError, readConfiguration } from "./Configuration.ts"
import { makeHeartbeat } from "./Heartbeat.ts"
import { Inbox } from "./Inbox.ts"
import { log, logWritten, messageOf } from "./Log.ts"
import { runLoop } from "./Loop.ts"
import { OutboundBroken, OutboundFile } from "./OutboundFile.ts"
import { command } from "./providers/Command.ts"
import { echo } from "./providers/Echo.ts"
import type { Provider } from "./providers/Provider.ts"
import { listenForShutdown } from "./Shutdown.ts"

/** Never falls back to another one: the compiler refuses a provider without an entry. */
const providers: Readonly<Record<Configuration["provider"], (configuration: Configuration) => Provider>> = {
  echo: () => echo,
  command,
}

const run = async (): Promise<number> => {
  // A container may outlive the daemon that reads its output. A closed pipe must not end it.
  process.stdout.on("error", () => undefined)
  process.stderr.on("error", () => undefined)
  try {
    const configuration = readConfiguration(process.env)
    const shutdown = listenForShutdown(configuration.stopMs)
    const file = new OutboundFile(configuration, shutdown.giveUp)
    log("info", `started with the provider '${configuration.provider}', times in ${configuration.zone}`)
    const stale = await file.write("stale claims", clearStale)
    if (stale > 0) log("info", `cleared ${stale} claims of another process`)
    await runLoop({
      configuration,
      file,
      beat: makeHeartbeat(configuration.heartbeatPath),
      inbox: new Inbox(configuration.inboundPath),
      provider: providers[configuration.provider](configuration),
      shutdown,
    })
    log("info", "stopped")
    return 0
  } catch (error) {
    log(
      "error",
      error instanceof Error && exitCodeOf(error) === 70 ? (error.stack ?? error.message) : messageOf(error),
    )
    return exitCodeOf(error)
  }
}

const exitCodeOf = (error: unknown): number =>
  error instanceof ConfigurationError ? 78 : error instanceof OutboundBroken ? 74 : 70

const code = await run()
await logWritten()
process.exit(code)
