/** A simulated engine with the contract suite's agents on it. */
import { Context, Deferred, Effect, Layer, Schema } from "effect"
import { GroupId, InstallId, SessionId } from "../../src/domain/Ids.ts"
import { type AgentScript, SimulatedEngine } from "../../src/layers/memory/SimulatedEngine.ts"
import { SimulatedRuntime } from "../../src/layers/memory/SimulatedRuntime.ts"
import { ContainerRuntime } from "../../src/services/ContainerRuntime.ts"
import type { RuntimeWorld } from "../contract/ContainerRuntime.contract.ts"

const scripts: Readonly<Record<string, AgentScript>> = {
  obeys: ({ print, sigterm }) =>
    print("ready").pipe(
      Effect.andThen(Deferred.await(sigterm)),
      Effect.andThen(print("stopping")),
      Effect.as(0),
    ),
  deaf: ({ print, sigterm }) =>
    print("ready").pipe(
      Effect.andThen(Deferred.await(sigterm)),
      Effect.andThen(print("ignored")),
      Effect.andThen(Effect.never),
    ),
  exits7: () => Effect.succeed(7),
  speaks: ({ print, printError }) =>
    Effect.forEach(["one", "two"], print).pipe(
      Effect.andThen(printError("aside")),
      Effect.andThen(print("three")),
      Effect.as(0),
    ),
  dies: () => Effect.die(new Error("the script broke")),
}

export interface SimulatedWorld extends RuntimeWorld {
  readonly engine: SimulatedEngine["Service"]
}

export const makeSimulatedWorld = Effect.gen(function* () {
  const engineContext = yield* Layer.build(
    SimulatedEngine.layer({ script: ({ env }) => scripts[env["AGENT_BEHAVIOUR"] ?? ""] ?? scripts["dies"]! }),
  )
  const engine = Context.get(engineContext, SimulatedEngine)
  const install = Schema.decodeSync(InstallId)("simulated1")
  const world: SimulatedWorld = {
    engine,
    install,
    otherInstall: Schema.decodeSync(InstallId)("simulated2"),
    open: (id) =>
      Layer.build(SimulatedRuntime.layer({ install: id })).pipe(
        Effect.provideContext(engineContext),
        Effect.map((context) => Context.get(context, ContainerRuntime)),
      ),
    spec: (session, behaviour, more = {}) => {
      const labels = {
        install: more.install ?? install,
        group: Schema.decodeSync(GroupId)("family"),
        session: Schema.decodeSync(SessionId)(session),
        incarnation: more.incarnation ?? 1,
      }
      return {
        labels,
        name: `lamplighter-${labels.install}-${session}`,
        inDir: "/in",
        outDir: "/out",
        groupDir: "/group",
        globalDir: "/global",
        containerJson: "/group/container.json",
        env: { AGENT_BEHAVIOUR: behaviour },
        image: null,
        graceMs: 1_000,
      }
    },
    killOutside: (ref) => Effect.asVoid(engine.killOutside(ref.labels.session)),
    bearUnrecorded: (spec) => Effect.asVoid(engine.bearUnrecorded(spec)),
  }
  return world
})
