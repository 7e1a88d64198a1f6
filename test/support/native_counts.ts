import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { ROOT } from "./paths.js";

/** What the native core counts as alive in this thread. */
export interface NativeCounts {
  loops: number;
  handles: number;
  descriptors: number;
  chunks: number;
  unread: number;
  regions: number;
  tls: number;
  tlsContexts: number;
  fileReads: number;
}

interface Addon {
  liveCounts(): NativeCounts;
  readonly torture: boolean;
}

/**
 * The addon that the native engine has loaded. This looks behind the public face: what is held in C++ shows nowhere else.
 * Undefined where there is none.
 */
function addon(): Addon | undefined {
  const path = process.env.EVENTMACHINE_ADDON ?? join(ROOT, "build/Release/eventmachine.node");
  return existsSync(path) ? (createRequire(import.meta.url)(path) as Addon) : undefined;
}

export function nativeCounts(): NativeCounts | undefined {
  return addon()?.liveCounts();
}

/** Whether this is the build whose system calls fail at random. */
export function isTortureBuild(): boolean {
  return addon()?.torture === true;
}
