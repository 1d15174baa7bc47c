/**
 * Watches containers by three signals, any of which is enough: the engine's event stream, the end of a container's log stream,
 * and whoever lists. Each exit is read from the engine, told once, and after the container's last line. When the engine can't
 * be asked, nothing is known, so nothing is told: it is asked again.
 */
import type { InstallId } from "../../domain/Ids.ts"
import type { ContainerExit, ContainerRef, RuntimeEvent } from "../../services/ContainerRuntime.ts"
import { type DockerEngine, EngineError } from "./DockerEngine.ts"
import { type EngineEvent, hearEngineEvents } from "./DockerEvents.ts"
import { engineExit, type EngineState, goneExit, type Heard, heardNothing, isOver } from "./DockerExit.ts"
import { type LineCutter, makeFrameReader, makeLineCutter } from "./LogFrames.ts"

const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 5_000
/** How long the last lines of a dead container are waited for. */
const LAST_LINES_MS = 2_000
const LAST_EVENT_MS = 250
/** Of one container: who floods its output is heard late, and takes no time from others. The engine keeps it meanwhile. */
const LINE_BYTES_PER_SECOND = 256 * 1024
/** Lines told again to whoever adopts: the doorbell may have rung while nobody listened. */
const ADOPTED_TAIL = 20

interface Watched {
  readonly ref: ContainerRef
  readonly abort: AbortController
  state: "watched" | "settling" | "exited"
  exit: ContainerExit | null
  /** Ends when its log stream has ended. */
  lines: Promise<void>
  endLines: () => void
  /** Fed with stdout; `heard` bytes of it so far, null when they are not counted from the first one. */
  readonly cutter: LineCutter
  heard: number | null
  oomAt: number | null
  askedAt: number | null
  /** What its event told, should the engine have forgotten it by the time that it is asked. */
  died: Extract<EngineEvent, { readonly _tag: "Died" }> | null
  checking: Promise<void> | null
  checkAgain: boolean
}

export interface DockerWatcher {
  /** From the container's first line on. Returns at once. */
  readonly watch: (ref: ContainerRef) => void
  /** Returns when its lines are being heard. Watched already: nothing. Rejects with `EngineError`. */
  readonly adopt: (ref: ContainerRef) => Promise<void>
  readonly exitOf: (id: string) => ContainerExit | undefined
  /** What is known of it so far, to judge its exit by. */
  readonly heardOf: (id: string) => Heard
  /** This daemon is about to send it a signal: what follows is nobody else's doing. */
  readonly signalling: (id: string) => void
  /** Somebody saw that it is over. */
  readonly suspect: (id: string) => void
  readonly forget: (id: string) => void
  readonly close: () => void
}

export const makeDockerWatcher = (
  engine: DockerEngine,
  install: InstallId,
  publish: (event: RuntimeEvent) => void,
): DockerWatcher => {
  const watched = new Map<string, Watched>()
  const signalled = new Set<string>()
  let silence: Heard["silence"] = null
  const closing = new AbortController()
  const pause = (milliseconds: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(done, milliseconds)
      function done(): void {
        clearTimeout(timer)
        closing.signal.removeEventListener("abort", done)
        resolve()
      }
      closing.signal.addEventListener("abort", done, { once: true })
    })

  const heardOf = (id: string): Heard => {
    const one = watched.get(id)
    return {
      ...heardNothing,
      silence,
      ...(one === undefined ? {} : { oomAt: one.oomAt, askedAt: one.askedAt }),
      ...(signalled.has(id) ? { askedAt: null, silence: null } : {}),
    }
  }

  /** Engines may end a followed stream before its last bytes: those are read once it is over. */
  const hearRest = async (one: Watched): Promise<void> => {
    const { heard } = one
    if (heard === null) return
    try {
      const bytes = await engine.ask("the container's output can't be read", (abortSignal) =>
        engine.docker
          .getContainer(one.ref.handle)
          .logs({ follow: false, stdout: true, stderr: false, abortSignal }),
      )
      const parts: Array<Buffer> = []
      makeFrameReader((_, part) => parts.push(part))(bytes)
      one.cutter.feed(Buffer.concat(parts).subarray(heard))
    } catch {
      // Lines are hints; its output is read again for the exit log.
    }
  }

  const settle = async (one: Watched, exit: ContainerExit): Promise<void> => {
    if (one.state !== "watched") return
    one.state = "settling"
    await Promise.race([one.lines, pause(LAST_LINES_MS)])
    one.abort.abort()
    one.endLines()
    await hearRest(one)
    if (closing.signal.aborted) return
    one.cutter.end()
    one.exit = exit
    one.state = "exited"
    publish({ _tag: "Exited", ref: one.ref, exit })
  }

  /** Somebody removed it. Its last event may still be on its way. */
  const settleGone = async (one: Watched): Promise<void> => {
    if (one.died === null) await pause(LAST_EVENT_MS)
    await settle(one, goneExit(one.died, heardOf(one.ref.handle)))
  }

  /** `lines`: whether more of them can come. */
  const lookOnce = async (
    one: Watched,
    lines: "ended" | "awaited",
  ): Promise<"settled" | "running" | "unknown"> => {
    try {
      const info = await engine.ask("the container can't be inspected", (abortSignal) =>
        engine.docker.getContainer(one.ref.handle).inspect({ abortSignal }),
      )
      if (!isOver(info.State as EngineState)) return "running"
      if (lines === "ended") one.endLines()
      await settle(one, engineExit(info.State as EngineState, heardOf(one.ref.handle)))
      return "settled"
    } catch (error) {
      if (!(error instanceof EngineError) || error.status !== 404) return "unknown"
      one.endLines()
      await settleGone(one)
      return "settled"
    }
  }

  /** Asks until the engine answers. One that still runs is looked at again by the next signal. */
  const check = (one: Watched): void => {
    if (one.checking !== null) {
      one.checkAgain = true
      return
    }
    const run = async (): Promise<void> => {
      let wait = FIRST_PAUSE_MS
      while (one.state === "watched" && !closing.signal.aborted) {
        one.checkAgain = false
        const seen = await lookOnce(one, "awaited")
        if (seen === "settled" || (seen === "running" && !one.checkAgain)) return
        if (seen === "running") continue
        await pause(wait)
        wait = Math.min(wait * 2, LONGEST_PAUSE_MS)
      }
    }
    one.checking = run().finally(() => {
      one.checking = null
    })
  }

  const open = (one: Watched, tail: number | "all") =>
    engine.stream("the container's output can't be followed", one.abort.signal, (abortSignal) =>
      engine.docker.getContainer(one.ref.handle).logs({
        follow: true,
        stdout: true,
        stderr: false,
        ...(tail === "all" ? {} : { tail }),
        abortSignal,
      }),
    )

  /** Tells the lines of an open stream, and resolves at its end. */
  const tell = (one: Watched, stream: NodeJS.ReadableStream): Promise<void> =>
    new Promise((resolve) => {
      const frames = makeFrameReader((_, bytes) => {
        if (one.state === "exited") return
        if (one.heard !== null) one.heard += bytes.length
        one.cutter.feed(bytes)
      })
      let room = LINE_BYTES_PER_SECOND
      let since = performance.now()
      const refill = (): void => {
        room = LINE_BYTES_PER_SECOND
        since = performance.now()
      }
      stream.on("data", (bytes: Buffer) => {
        frames(bytes)
        const spent = performance.now() - since
        if (spent >= 1_000) refill()
        room -= bytes.length
        if (room > 0) return
        stream.pause()
        void pause(Math.max(0, 1_000 - spent)).then(() => {
          refill()
          return stream.resume()
        })
      })
      stream.once("end", () => resolve())
      stream.once("close", () => resolve())
    })

  const follow = async (one: Watched, first: NodeJS.ReadableStream | null): Promise<void> => {
    let wait = FIRST_PAUSE_MS
    let tail: number | "all" = "all"
    let stream = first
    while (one.state === "watched" && !closing.signal.aborted) {
      try {
        stream ??= await open(one, tail)
        wait = FIRST_PAUSE_MS
        await tell(one, stream)
      } catch (error) {
        if (error instanceof EngineError && error.status !== null) one.endLines()
      }
      stream = null
      if (one.state !== "watched") break
      // The stream ended: the container did, or the engine closed it.
      if ((await lookOnce(one, "ended")) === "settled") return
      tail = ADOPTED_TAIL
      one.heard = null
      await pause(wait)
      wait = Math.min(wait * 2, LONGEST_PAUSE_MS)
    }
    one.endLines()
  }

  const remember = (ref: ContainerRef, heard: Watched["heard"]): Watched => {
    let endLines = (): void => {}
    const lines = new Promise<void>((resolve) => {
      endLines = resolve
    })
    const one: Watched = {
      ref,
      abort: new AbortController(),
      state: "watched",
      exit: null,
      lines,
      endLines,
      cutter: makeLineCutter((line) => {
        if (one.state !== "exited" && !closing.signal.aborted) publish({ _tag: "Line", ref, line })
      }),
      heard,
      oomAt: null,
      askedAt: null,
      died: null,
      checking: null,
      checkAgain: false,
    }
    watched.set(ref.handle, one)
    return one
  }

  void hearEngineEvents(engine, {
    install,
    closing: closing.signal,
    tell: (event) => {
      const one = watched.get(event.id)
      if (one === undefined) return
      if (event._tag === "OutOfMemory") one.oomAt = event.at
      else if (event._tag === "Asked") one.askedAt = event.at
      else {
        one.died = event
        check(one)
      }
    },
    deaf: () => {
      silence = { from: Date.now(), to: null }
    },
    heard: () => {
      silence = silence === null ? null : { ...silence, to: Date.now() }
      publish({ _tag: "Gap", reason: "the engine's event stream was interrupted" })
      for (const one of watched.values()) {
        one.oomAt = null
        if (one.state === "watched") check(one)
      }
    },
    pause,
    firstPauseMs: FIRST_PAUSE_MS,
    longestPauseMs: LONGEST_PAUSE_MS,
  })

  return {
    watch: (ref) => {
      if (!watched.has(ref.handle)) void follow(remember(ref, 0), null)
    },
    adopt: async (ref) => {
      if (watched.has(ref.handle)) return
      const one = remember(ref, null)
      try {
        const stream = await open(one, ADOPTED_TAIL)
        void follow(one, stream)
      } catch (error) {
        if (error instanceof EngineError && error.status === 404) {
          one.endLines()
          await settleGone(one)
          return
        }
        watched.delete(ref.handle)
        throw error
      }
    },
    exitOf: (id) => watched.get(id)?.exit ?? undefined,
    heardOf,
    signalling: (id) => signalled.add(id),
    suspect: (id) => {
      const one = watched.get(id)
      if (one?.state === "watched") check(one)
    },
    forget: (id) => {
      watched.get(id)?.abort.abort()
      watched.delete(id)
      signalled.delete(id)
    },
    close: () => {
      closing.abort()
      for (const one of watched.values()) one.abort.abort()
      watched.clear()
    },
  }
}
