// Runs test/torture on a native engine whose system calls are cut short or fail at random. The seed is printed first;
// EVENTMACHINE_TORTURE_SEED=N npm run test:torture repeats a run.
import { randomInt } from "node:crypto";
import { runVariant } from "./test_variant.mjs";

const seed = process.env.EVENTMACHINE_TORTURE_SEED ?? String(randomInt(1, 2 ** 31));
console.log(`EVENTMACHINE_TORTURE_SEED=${seed}`);
runVariant("--torture", ["test/torture/"], { EVENTMACHINE_TORTURE_SEED: seed });
