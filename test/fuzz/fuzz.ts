/**
 * The fuzzers, each round in a process of its own, so that a crash or a hang is a finding like any other.
 *
 *   npm run fuzz -- [--fuzzer NAMES] [--engine native,portable] [--seed N] [--count N] [--seconds N | --rounds N]
 *
 * Goes from fuzzer to fuzzer and engine to engine, one round each, with seeds that follow from the first, until the time
 * is over or so many rounds were run of each; prints what was done. A round that fails is told with its last operations, with
 * the command that repeats it, and with a smaller count that fails too where there is one. Exits 1 then.
 */
import { fork } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { FUZZERS, type Fuzzer, type FuzzerName } from "./fuzzers.js";
import type { Report } from "./report.js";

/** A round that takes longer hangs. The longest take a quarter of it, under sanitizers, on a busy machine. */
const ROUND_LIMIT = 180_000;
/** How many of the last operations are told of a round that failed. */
const TOLD = 40;
/** How often a smaller count is tried. */
const SHRINKS = 6;

interface Task {
  readonly fuzzer: FuzzerName;
  readonly engine: string;
  readonly seed: number;
  readonly count: number;
}

interface Outcome {
  readonly faults: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  /** The last operations. */
  readonly last: readonly string[];
}

const { values } = parseArgs({
  options: {
    fuzzer: { type: "string", default: Object.keys(FUZZERS).join(",") },
    engine: { type: "string", default: "native,portable" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    count: { type: "string" },
    seconds: { type: "string", default: "60" },
    rounds: { type: "string" },
  },
});
const folder = mkdtempSync(join(tmpdir(), "em-fuzz-"));
try {
  process.exitCode = await fuzz();
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0) return value;
  console.error(`--${name} must be a whole number, not ${text}`);
  process.exit(2);
}

async function fuzz(): Promise<number> {
  const seed = wholeNumber("seed", values.seed);
  const rounds = values.rounds === undefined ? Number.POSITIVE_INFINITY : wholeNumber("rounds", values.rounds);
  const end = performance.now() + wholeNumber("seconds", values.seconds) * 1000;
  const totals = new Map<string, Record<string, number>>();
  let failures = 0;
  console.log(`seed ${seed}`);
  for (
    let round = 0;
    round < rounds && (round === 0 || rounds < Number.POSITIVE_INFINITY || performance.now() < end);
    round++
  ) {
    for (const task of tasksOf((seed + round) >>> 0)) {
      if (round > 0 && rounds === Number.POSITIVE_INFINITY && performance.now() > end) break;
      const outcome = await run(task);
      add(totals, `${task.fuzzer} on ${task.engine}`, { rounds: 1, ...outcome.counts });
      if (outcome.faults.length === 0) continue;
      failures++;
      tell(task, outcome);
      await shrink(task);
    }
  }
  for (const [name, counts] of totals) console.log(`${name}: ${inWords(counts)}`);
  console.log(failures === 0 ? "all as it must be" : `${failures} rounds failed`);
  return failures === 0 ? 0 : 1;
}

function* tasksOf(seed: number): Generator<Task> {
  for (const fuzzer of values.fuzzer.split(",")) {
    const { engines, count } = fuzzerNamed(fuzzer);
    for (const engine of engines) {
      if (!values.engine.split(",").includes(engine)) continue;
      yield {
        fuzzer: fuzzer as FuzzerName,
        engine,
        seed,
        count: values.count === undefined ? count : wholeNumber("count", values.count),
      };
    }
  }
}

function fuzzerNamed(name: string): Fuzzer {
  const known: Partial<Record<string, Fuzzer>> = FUZZERS;
  const fuzzer = known[name];
  if (fuzzer !== undefined) return fuzzer;
  console.error(`--fuzzer must be of ${Object.keys(FUZZERS).join(", ")}, not ${name}`);
  process.exit(2);
}

/** One round, from its process's first line to its end. */
async function run({ fuzzer, engine, seed, count }: Task): Promise<Outcome> {
  const journal = join(folder, "journal");
  const args = [fuzzer, engine, String(seed), String(count), journal];
  // What a torture build injects hangs on a seed of its own: an odd one resets connections, honest ones too.
  const torture = fuzzer === "wire" ? (seed & ~1) >>> 0 : seed;
  const env = { ...process.env, EVENTMACHINE_TORTURE_SEED: String(torture), ...sanitizerOptions(fuzzer) };
  const child = fork(fileURLToPath(new URL("./child.js", import.meta.url)), args, {
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    env,
  });
  let output = "";
  let errors = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    child.kill("SIGKILL");
  }, ROUND_LIMIT);
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
    child.on("close", (...how) => resolve(how)),
  );
  clearTimeout(timer);
  const last = readFileSync(journal, "utf8").trimEnd().split("\n").slice(-TOLD);
  const report = reportIn(output);
  const faults = [...(report?.violations ?? [])];
  if (isLate) faults.push(`it hung: no end within ${ROUND_LIMIT} ms`);
  else if (report === undefined) faults.push(`it ended with ${signal ?? code} and no report`);
  else if (code !== 0 && faults.length === 0) faults.push(`it ended with ${signal ?? code}`);
  if (errors !== "" && (faults.length > 0 || /Sanitizer|runtime error/.test(errors))) faults.push(errors.trimEnd());
  return { faults, counts: report?.counts ?? {}, last };
}

/**
 * The sanitized core marks what of its slab it has not filled. A scribbled length makes JavaScript read there, within the slab and
 * so within its rights: under the fuzzer that scribbles the marks are off, and everything else is watched as ever.
 */
function sanitizerOptions(fuzzer: FuzzerName): { ASAN_OPTIONS?: string } {
  const options = process.env.ASAN_OPTIONS;
  return fuzzer === "memory" && options !== undefined ? { ASAN_OPTIONS: `${options}:allow_user_poisoning=0` } : {};
}

function reportIn(output: string): Report | undefined {
  try {
    return JSON.parse(output.trimEnd().split("\n").at(-1) ?? "") as Report;
  } catch {
    return undefined;
  }
}

function tell(task: Task, { faults, last }: Outcome): void {
  console.log(`FAILED: ${commandFor(task)}`);
  for (const fault of faults) console.log(`  ${fault.replaceAll("\n", "\n  ")}`);
  console.log(`  its last ${last.length} operations:`);
  for (const line of last) console.log(`    ${line}`);
}

function commandFor({ fuzzer, engine, seed, count }: Task): string {
  const build = process.env.EVENTMACHINE_FUZZED_BUILD ?? "plain";
  return `npm run fuzz -- --build ${build} --fuzzer ${fuzzer} --engine ${engine} --seed ${seed} --count ${count} --rounds 1`;
}

/** Looks for fewer operations that fail too: halves them for as long as that goes. Timing has its part, so it may find none. */
async function shrink(task: Task): Promise<void> {
  let smallest: Task | undefined;
  let least = 0;
  let { count } = task;
  for (let attempt = 0; attempt < SHRINKS && count - least > 1; attempt++) {
    const smaller = { ...task, count: Math.floor((least + count) / 2) };
    const { faults } = await run(smaller);
    if (faults.length === 0) {
      least = smaller.count;
      continue;
    }
    smallest = smaller;
    count = smaller.count;
  }
  console.log(smallest === undefined ? "  no smaller count failed" : `  fails too: ${commandFor(smallest)}`);
}

function add(
  totals: Map<string, Record<string, number>>,
  name: string,
  counts: Readonly<Record<string, number>>,
): void {
  const sums = totals.get(name) ?? {};
  for (const [key, count] of Object.entries(counts)) sums[key] = (sums[key] ?? 0) + count;
  totals.set(name, sums);
}

function inWords(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");
}
