import { readdirSync, readlinkSync } from "node:fs";

/** The numbers of this process's sockets. */
export function sockets(): Set<number> {
  const found = new Set<number>();
  for (const name of readdirSync("/proc/self/fd")) {
    try {
      if (readlinkSync(`/proc/self/fd/${name}`).startsWith("socket:")) found.add(Number(name));
    } catch {
      // The listing's own is gone again.
    }
  }
  return found;
}
