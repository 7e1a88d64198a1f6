import { chaos } from "./chaos/chaos.js";
import { memory } from "./memory/memory.js";
import type { Round } from "./round.js";
import { wire } from "./wire/wire.js";

export interface Fuzzer {
  run(round: Round): Promise<void>;
  /** How many operations, or attacks, one round has where nobody says so. */
  readonly count: number;
  readonly engines: readonly ("native" | "portable")[];
  /** JavaScript that stumbles over what it reads throws, wherever that is. */
  readonly throwsFreely?: boolean;
}

export const FUZZERS = {
  chaos: { run: chaos, count: 10_000, engines: ["native", "portable"] },
  wire: { run: wire, count: 4_000, engines: ["native", "portable"] },
  memory: { run: memory, count: 5_000, engines: ["native"], throwsFreely: true },
} as const satisfies Record<string, Fuzzer>;

export type FuzzerName = keyof typeof FUZZERS;
