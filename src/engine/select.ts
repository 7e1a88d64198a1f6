import { describe } from "../base/addresses.js";
import { ArgumentError, EventMachineError, UnsupportedError } from "../base/errors.js";
import { SystemError } from "../base/system_error.js";
import { CAPABILITIES, type Capability } from "./capabilities.js";
import type { Engine } from "./engine.js";
import { loadNative } from "./native/addon.js";
import { PortableEngine } from "./portable/portable_engine.js";

/** Which engine a reactor runs on; "auto" is native where it can be loaded, else portable. */
export type EngineName = "auto" | "native" | "portable";

/** Which engine serves here, and why. */
export interface EngineInfo {
  /** The engine that serves a reactor made here. */
  readonly engine: "native" | "portable";
  /** Why the native engine does not serve; undefined where it does. */
  readonly reason: string | undefined;
  /** What the engine cannot do: the name of each capability it lacks, and what that is. */
  readonly lacks: readonly { readonly capability: Capability; readonly meaning: string }[];
}

/** Makes an engine. Throws `ERR_EM_ENGINE_UNAVAILABLE` when the native one is asked for by name and cannot be had. */
export function createEngine(name: EngineName): Engine {
  const chosen = chosenEngine(checkEngineName(name));
  if (chosen === "portable") return new PortableEngine();
  const native = loadNative();
  if ("create" in native) return native.create();
  if (chosen === "native") {
    throw new EventMachineError("ERR_EM_ENGINE_UNAVAILABLE", `the native engine cannot be used: ${native.reason}`);
  }
  sayOnce(native.reason);
  return new PortableEngine();
}

/**
 * Which engine serves a reactor with that `engine` option (default "auto"), and why. Throws ArgumentError for any other name,
 * also one that EVENTMACHINE_ENGINE gives.
 */
export function engineInfo(name: EngineName = "auto"): EngineInfo {
  const chosen = chosenEngine(checkEngineName(name));
  const native = loadNative();
  const isNative = chosen !== "portable" && "create" in native;
  const engine = isNative ? native.create() : new PortableEngine();
  const reason = isNative ? undefined : "reason" in native ? native.reason : "the portable engine was asked for";
  const lacks = (Object.keys(CAPABILITIES) as Capability[])
    .filter((capability) => !engine.capabilities.has(capability))
    .map((capability) => ({ capability, meaning: CAPABILITIES[capability] }));
  return { engine: isNative ? "native" : "portable", reason, lacks };
}

/**
 * How many descriptors this process may have, set before unless 0 is wanted, by what the engine that serves here stands on. Throws
 * SystemError, and UnsupportedError where that is the portable engine.
 */
export function descriptorLimit(wanted: number): number {
  const native = loadNative();
  if (chosenEngine("auto") === "portable" || !("create" in native)) {
    throw new UnsupportedError("descriptorLimit", "portable");
  }
  const limit = native.descriptorLimit(wanted);
  if (limit < 0) throw new SystemError(limit, "setrlimit");
  return limit;
}

export function checkEngineName(name: unknown): EngineName {
  if (name === "auto" || name === "native" || name === "portable") return name;
  throw new ArgumentError(`engine must be "auto", "native" or "portable", not ${describe(name)}`);
}

/** EVENTMACHINE_ENGINE decides for reactors that were not told; naming the native engine there asks for it by name. */
function chosenEngine(name: EngineName): EngineName {
  const wish = process.env.EVENTMACHINE_ENGINE;
  return name !== "auto" || wish === undefined || wish === "" ? name : checkEngineName(wish);
}

let said = false;

function sayOnce(reason: string): void {
  if (said) return;
  said = true;
  process.emitWarning(`running on the portable engine: ${reason}`, { code: "EM_PORTABLE", type: "EventMachine" });
}
