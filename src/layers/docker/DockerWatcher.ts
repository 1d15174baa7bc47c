/**
 * Watches the containers of one install, each by a fiber of its own, and hears the engine's events for all of them. What happened
 * before the events were heard is not missed: when they are, every container that is watched is looked at.
 */
import { Clock, Context, Effect, FiberMap } from "effect"
import type { InstallId } from "../../domain/Ids.ts"
import type { ContainerExit, ContainerRef, RuntimeEvent } from "../../services/ContainerRuntime.ts"
import {
  type ContainerWatch,
  lookAgain,
  makeContainerWatch,
  notice,
  untilHeard,
  watchContainer,
} from "./ContainerWatch.ts"
import { hearEngineEvents } from "./DockerEvents.ts"
import type { Heard } from "./DockerExit.ts"

export class DockerWatcher extends Context.Service<
  DockerWatcher,
  Effect.Success<ReturnType<typeof makeDockerWatcher>>
>()("lamplighter/layers/docker/DockerWatcher") {}

export const makeDockerWatcher = Effect.fnUntraced(function* (
  install: InstallId,
  publish: (event: RuntimeEvent) => void,
) {
  const clock = yield* Clock.Clock
  const fibers = yield* FiberMap.make<string>()
  const watched = new Map<string, ContainerWatch>()
  const signalled = new Set<string>()
  let silence: Heard["silence"] = null

  const heardOf = (id: string): Heard => {
    const { askedAt = null, oomAt = null } = watched.get(id) ?? {}
    return { askedAt, oomAt, silence, signalled: signalled.has(id) }
  }

  const remember = (ref: ContainerRef, lines: Parameters<typeof makeContainerWatch>[1]): ContainerWatch => {
    const one = makeContainerWatch(ref, lines, publish, () => heardOf(ref.handle))
    watched.set(ref.handle, one)
    return one
  }

  const run = (one: ContainerWatch) => FiberMap.run(fibers, one.ref.handle, watchContainer(one))

  const forget = (id: string): Effect.Effect<void> => {
    watched.delete(id)
    signalled.delete(id)
    return FiberMap.remove(fibers, id)
  }

  yield* hearEngineEvents(install, {
    tell: (event) => {
      const one = watched.get(event.id)
      if (one !== undefined) notice(one, event)
    },
    deaf: () => {
      silence = { from: clock.currentTimeMillisUnsafe(), to: null }
    },
    heard: (since) => {
      for (const one of watched.values()) lookAgain(one, since)
      if (since === "first") return
      silence = silence === null ? null : { ...silence, to: clock.currentTimeMillisUnsafe() }
      publish({ _tag: "Gap", reason: "the engine's event stream was interrupted" })
    },
  }).pipe(Effect.forkScoped({ startImmediately: true }))

  return {
    /** Before its start: an end that comes at once is noticed. `forget` takes it back. */
    expect: (ref: ContainerRef): void => void remember(ref, "from the first"),
    /** From the container's first line on. Returns at once. */
    watch: (ref: ContainerRef) =>
      Effect.asVoid(run(watched.get(ref.handle) ?? remember(ref, "from the first"))),
    /** Returns when its lines are being heard. Watched already: nothing. */
    adopt: Effect.fnUntraced(function* (ref: ContainerRef) {
      if (watched.has(ref.handle)) return
      const one = remember(ref, "from now")
      one.suspicion.openUnsafe()
      yield* run(one)
      yield* Effect.onError(untilHeard(one), () => forget(ref.handle))
    }),
    exitOf: (id: string): ContainerExit | null => watched.get(id)?.exit ?? null,
    /** What is known of it so far, to judge its exit by. */
    heardOf,
    /** This daemon is about to send it a signal: what follows is nobody else's doing. */
    signalling: (id: string): void => void signalled.add(id),
    /** Somebody saw that it is over. */
    suspect: (id: string): void => void watched.get(id)?.suspicion.openUnsafe(),
    forget,
  }
})
