import { readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** What a process holds. Sizes in bytes. */
export interface Figures {
  descriptors: number;
  rss: number;
  heap: number;
  external: number;
}

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;

/** What this process holds after everything that can be collected has been. */
export async function takeFigures(): Promise<Figures> {
  // Finalizers run between collections, and what they let go is collected by the next.
  for (let round = 0; round < 4; round++) {
    gc();
    await sleep(20);
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  return { descriptors: readdirSync("/proc/self/fd").length, rss, heap: heapUsed, external };
}

const MiB = 1024 * 1024;

/**
 * What may be left behind by a run. Descriptors: none. The heap keeps compiled code and inline caches that the warm-up has
 * not all made. Resident memory also keeps what the allocators have not given back: arenas of several threads, and the
 * pages of tables that were grown for the busiest moment. node:tls lets it grow by 80 MiB in its first minute, and then no more.
 */
function tolerance(engine: "native" | "portable"): Figures {
  return { descriptors: 0, rss: (engine === "native" ? 96 : 128) * MiB, heap: 6 * MiB, external: 4 * MiB };
}

/** What grew beyond the tolerance, in words. */
export function excess(before: Figures, after: Figures, engine: "native" | "portable"): string[] {
  const allowed = tolerance(engine);
  return (Object.keys(allowed) as (keyof Figures)[])
    .filter((name) => after[name] - before[name] > allowed[name])
    .map((name) => `${name}: ${before[name]} before, ${after[name]} after, tolerance ${allowed[name]}`);
}

export function inWords({ descriptors, rss, heap, external }: Figures): string {
  const mib = (bytes: number) => `${(bytes / MiB).toFixed(1)} MiB`;
  return `${descriptors} descriptors, resident ${mib(rss)}, heap ${mib(heap)}, external ${mib(external)}`;
}
