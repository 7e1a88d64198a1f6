import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import type { Engine } from "../engine.js";
import type { Binding, LiveCounts } from "./binding.js";
import { LAYOUT_HASH } from "./layout.js";
import { NativeEngine } from "./native_engine.js";

/** The native engine of this process, or why there is none. */
export type NativeSupport =
  | {
      create(): Engine;
      /** The file of the addon. */
      readonly path: string;
      /** Whether system calls fail at random in this build. */
      readonly torture: boolean;
      /** The version of Node's own OpenSSL. */
      readonly openssl: string;
      /** How many descriptors this process may have; set before, unless 0 is wanted. Or a negative errno. */
      descriptorLimit(wanted: number): number;
      /** What this thread's engines hold; for tests. */
      liveCounts(): LiveCounts;
    }
  | { readonly reason: string };

let support: NativeSupport | undefined;

/** Loads the addon, once: the answer does not change in the life of a thread. */
export function loadNative(): NativeSupport {
  support ??= load();
  return support;
}

/** Every reason that would harm the process is found before the file is opened: runtimes other than Node.js abort. */
function load(): NativeSupport {
  const refusal = refuseRuntime();
  if (refusal !== undefined) return { reason: refusal };
  const path = process.env.EVENTMACHINE_ADDON ?? builtAddon();
  if (path === undefined) return { reason: "the package's own folder is not to be found, as where it was bundled" };
  if (!existsSync(path)) return { reason: `${path} was not built (npm rebuild eventmachine builds it)` };
  try {
    const file = resolve(path);
    const binding = createRequire(file)(file) as Binding;
    if (binding.layout !== LAYOUT_HASH) {
      return { reason: `${path} was built from another version (npm rebuild eventmachine builds it anew)` };
    }
    return {
      create: () => new NativeEngine(binding),
      path,
      torture: binding.torture,
      openssl: binding.openssl,
      descriptorLimit: (wanted) => binding.descriptorLimit(wanted),
      liveCounts: () => binding.liveCounts(),
    };
  } catch (error) {
    return { reason: `${path} does not load: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/**
 * Found by the package's own name, so that it does not matter where in it this file was compiled to. In a bundle there may be no
 * such package, and in one of CommonJS not even a place to look from.
 */
function builtAddon(): string | undefined {
  try {
    const manifest = createRequire(import.meta.url).resolve("eventmachine/package.json");
    return join(dirname(manifest), "build/Release/eventmachine.node");
  } catch {
    return undefined;
  }
}

function refuseRuntime(): string | undefined {
  if (process.platform !== "linux") return `it needs Linux, this is ${process.platform}`;
  const versions: Partial<Record<string, string>> = process.versions;
  for (const runtime of ["bun", "deno", "electron"]) {
    if (versions[runtime] !== undefined) return `it needs Node.js itself, this is ${runtime}`;
  }
  if (Number(versions.napi ?? 0) < 8) return "it needs Node-API 8";
  return undefined;
}
