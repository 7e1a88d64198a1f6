import { readdirSync, readlinkSync } from "node:fs";

/** The numbers of this process's sockets. */
export function sockets(): Set<number> {
  return ofKind("socket:");
}

/** ... and of its pipes. */
export function pipes(): Set<number> {
  return ofKind("pipe:");
}

function ofKind(kind: string): Set<number> {
  const found = new Set<number>();
  for (const name of readdirSync("/proc/self/fd")) {
    try {
      if (readlinkSync(`/proc/self/fd/${name}`).startsWith(kind)) found.add(Number(name));
    } catch {
      // The listing's own is gone again.
    }
  }
  return found;
}
