import { makeProcessWorld } from "../support/ProcessWorld.ts"
import { makeSimulatedWorld } from "../support/SimulatedWorld.ts"
import { containerRuntimeContract } from "./ContainerRuntime.contract.ts"

containerRuntimeContract("ContainerRuntime on child processes", makeProcessWorld)
containerRuntimeContract("ContainerRuntime simulated", makeSimulatedWorld)
