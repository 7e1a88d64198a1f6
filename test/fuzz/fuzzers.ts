import { chaos } from "./chaos/chaos.js";
import type { Round } from "./round.js";
import { wire } from "./wire/wire.js";

export interface Fuzzer {
  run(round: Round): Promise<void>;
  /** How many operations, or attacks, one round has where nobody says so. */
  readonly count: number;
  readonly engines: readonly ("native" | "portable")[];
}

export const FUZZERS = {
  chaos: { run: chaos, count: 10_000, engines: ["native", "portable"] },
  wire: { run: wire, count: 4_000, engines: ["native", "portable"] },
} as const satisfies Record<string, Fuzzer>;

export type FuzzerName = keyof typeof FUZZERS;
