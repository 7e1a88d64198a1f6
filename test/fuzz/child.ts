import type { EngineName } from "eventmachine";
import { FUZZERS, type Fuzzer, type FuzzerName } from "./fuzzers.js";
import { Journal } from "./journal.js";
import { Report } from "./report.js";

/** One round in a process of its own: `child.js FUZZER ENGINE SEED COUNT JOURNAL`. Its last line is the report. */
const [fuzzer, engine, seed, count, path] = process.argv.slice(2) as [FuzzerName, EngineName, string, string, string];
const journal = new Journal(path);
const report = new Report();

const { run, throwsFreely = false }: Fuzzer = FUZZERS[fuzzer];

for (const event of ["uncaughtException", "unhandledRejection"] as const) {
  process.on(event, (error: unknown) => {
    const told = `${event}: ${(error as Error)?.stack ?? error}`;
    journal.note(`WRONG ${told}`);
    if (throwsFreely) report.count(`${event}: ${(error as Error)?.name}`);
    else report.wrong(told);
  });
}
process.on("warning", (warning) => report.wrong(`a warning: ${warning.stack}`));

await run({ engine, seed: Number(seed), count: Number(count), journal, report });
journal.close();
console.log(JSON.stringify(report));
// What a failed round leaves running must not keep the process; a sound one has nothing.
if (report.violated > 0) process.exit(1);
