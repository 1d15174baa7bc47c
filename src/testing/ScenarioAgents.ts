/** The agents of a scenario: what each behaviour means as a script of the in-memory layers. */
import type { ContainerSide } from "../layers/memory/MemoryMailbox.ts"
import * as Agents from "../layers/memory/ScriptedAgents.ts"
import type { AgentScript } from "../layers/memory/SimulatedEngine.ts"
import { type AgentBehaviour, msOf } from "./Scenario.ts"

export const scriptOf = (agent: AgentBehaviour): AgentScript<ContainerSide> => {
  const works = agent.works === undefined ? {} : { workMs: msOf(agent.works) }
  const strikes = (row: { readonly id: string }): boolean =>
    agent.on === undefined || agent.on.includes(row.id)
  switch (agent.behaves) {
    case "healthy":
      return Agents.healthy(works)
    case "hangs":
      return Agents.silentAfterClaim({ onSigterm: agent.onSigterm === "releases" ? "releases" : "hangs" })
    case "never-claims":
      return Agents.neverClaims()
    case "crashes-at-start":
      return Agents.crashesAtStart(agent.code ?? 1, agent.after === undefined ? 0 : msOf(agent.after))
    case "crashes":
      return Agents.crashesMidMessage({ poison: strikes, exitCode: agent.code ?? 139, ...works })
    case "fails":
      return Agents.failsTheMessage({ retryable: agent.retryable ?? true, when: strikes, ...works })
    case "silent-tool":
      return Agents.toolSilent({
        declaredMs: agent.declares === undefined ? null : msOf(agent.declares),
        workMs: agent.works === undefined ? 0 : msOf(agent.works),
      })
    case "ignores-sigterm":
      return Agents.ignoresSigterm(works)
  }
}
