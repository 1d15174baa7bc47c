/**
 * The host's bell: a file beside inbound.db that the host touches when it has written something for this container. It carries nothing and
 * may be lost, as changes of files are not told across every mount; the poll is the net.
 */
import { type FSWatcher, realpathSync, watch } from "node:fs"
import { dirname, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"

export class Bell {
  #rung = false
  #wake = new AbortController()
  readonly #watcher: FSWatcher | undefined

  /** `inboundPath` may be a link: the bell is beside the file itself. */
  constructor(inboundPath: string) {
    try {
      const path = join(dirname(realpathSync(inboundPath)), ".bell")
      this.#watcher = watch(path, { persistent: false }, () => this.#ring())
      this.#watcher.on("error", () => this.#watcher?.close())
    } catch {
      // No bell, or nothing can be watched here. The poll finds what is new.
    }
  }

  /** From now on a ring ends the next pause. */
  listen(): void {
    this.#rung = false
  }

  /** Ends when the time is over, the bell rings or has rung since `listen`, or the signal comes. */
  async pause(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#rung) return
    this.#wake = new AbortController()
    await sleep(ms, undefined, { signal: AbortSignal.any([signal, this.#wake.signal]) }).catch(
      () => undefined,
    )
  }

  #ring(): void {
    this.#rung = true
    this.#wake.abort()
  }
}

/** The doorbell of the host: a line on stdout that makes it look at outbound.db at once. It carries nothing, and may be lost. */
export const ring = (): void => {
  process.stdout.write("::lamplighter::doorbell\n")
}
