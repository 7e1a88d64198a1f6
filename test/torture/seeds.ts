import { randomInt } from "node:crypto";
import { test } from "node:test";
import type { CloseReason } from "eventmachine";
import type { EngineSuite } from "../support/harness.js";
import { Trial } from "../support/trial.js";

/**
 * What a torture build does to its system calls hangs on a seed that an engine reads when it is made: with an even one it
 * injects only what nobody above may notice (short reads and writes, EAGAIN, EINTR, ENOBUFS, refusals of accept), with an
 * odd one it resets connections as well. On other builds the seed means nothing, and all of this holds too.
 */
const GIVEN = Number(process.env.EVENTMACHINE_TORTURE_SEED ?? randomInt(1, 2 ** 31));

export interface Torture {
  readonly seed: number;
  /** Whether connections may be reset under the test. */
  readonly resets: boolean;
}

/** How long torture may take, in milliseconds: a loop that is made to try again and again is slow. */
export const LIMIT = 60_000;

/** Runs a body in a reactor on a tortured engine: once with faults to be hidden, once with resets among them. */
export function tortured(
  engine: EngineSuite,
  name: string,
  body: (trial: Trial, torture: Torture) => Promise<unknown>,
): void {
  for (const seed of [(GIVEN & ~1) >>> 0, (GIVEN | 1) >>> 0]) {
    const resets = (seed & 1) === 1;
    test(`${name}${resets ? ", with resets" : ""} (seed ${seed})`, { timeout: 2 * LIMIT }, async (context) => {
      process.env.EVENTMACHINE_TORTURE_SEED = String(seed);
      const trial = new Trial(engine);
      context.signal.addEventListener("abort", () => trial.giveUp());
      await trial.runRule(() => body(trial, { seed, resets }), LIMIT);
    });
  }
}

/** Whether the end came from an injected reset, in its typed form. */
export function isReset(reason: CloseReason | undefined): boolean {
  return reason?.kind === "peer-reset" && reason.error.syscall !== undefined && reason.error.code === "ECONNRESET";
}
