import { readdirSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { EngineName } from "eventmachine";
import { nativeCounts } from "../support/native_counts.js";
import type { Journal } from "./journal.js";
import type { Report } from "./report.js";

/** One round of a fuzzer: everything that decides what it does, and where it tells what it did. */
export interface Round {
  readonly engine: EngineName;
  readonly seed: number;
  /** How many operations, or attacks. A smaller count does the first of them alike. */
  readonly count: number;
  readonly journal: Journal;
  readonly report: Report;
}

setFlagsFromString("--expose-gc");
export const collect = runInNewContext("gc") as () => void;

/** How long what is garbage may take to be given back: finalizers run in turns of their own. */
const PATIENCE = 10_000;

export function descriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

/** What each is, by number. */
function links(): string[] {
  return readdirSync("/proc/self/fd").map((number) => {
    try {
      return `${number} ${readlinkSync(`/proc/self/fd/${number}`)}`;
    } catch {
      return number; // The listing's own is gone again.
    }
  });
}

/** Files that were being sent: a reactor that waits in vain is never told that they were. */
function filesUnderWay(): number {
  return links().filter((link) => /em-chaos-.*\(deleted\)$/.test(link)).length;
}

/**
 * Nothing of a round may be left: descriptors as many as before, and in the native core nothing at all, but for the memory
 * that so many reactors still look at that wait in vain, and the files that they send.
 */
export async function checkNothingLeft({ report }: Round, descriptorsBefore: number, stuck = 0): Promise<void> {
  const end = performance.now() + PATIENCE;
  for (;;) {
    collect();
    await sleep(10);
    const left = Object.entries(nativeCounts() ?? {}).filter(
      ([name, count]) => count > (name === "regions" ? stuck : 0),
    );
    const open = descriptors() - (stuck > 0 ? filesUnderWay() : 0);
    if (left.length === 0 && open <= descriptorsBefore) return;
    if (performance.now() < end) continue;
    if (left.length > 0) report.wrong(`the native core still holds ${left.map((pair) => pair.join(" ")).join(", ")}`);
    if (open > descriptorsBefore)
      report.wrong(`${open} descriptors, ${descriptorsBefore} before: ${links().join(", ")}`);
    return;
  }
}
