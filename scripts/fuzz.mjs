// Runs the fuzzers (test/fuzz) on the plain build, the sanitized one and the torture build of the native core, one after the
// other; the portable engine goes with the plain one.
//   npm run fuzz -- --seconds 90                     in all, split between the builds
//   npm run fuzz -- --build sanitized --seed 7 ...   one build; further options are those of test/fuzz/fuzz.ts
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { freshVariant, sanitizerEnvironment } from "./test_variant.mjs";

/** What was freed and is kept to be caught at its use is bounded: the fuzzers compare how much memory a run holds. */
function boundedSanitizer() {
  const environment = sanitizerEnvironment();
  return { ...environment, ASAN_OPTIONS: `${environment.ASAN_OPTIONS}:quarantine_size_mb=16` };
}

const BUILDS = {
  plain: { share: 0.5, engines: "native,portable", prepare: () => ({}) },
  sanitized: {
    share: 0.3,
    engines: "native",
    prepare: () => ({ EVENTMACHINE_ADDON: freshVariant("--sanitize"), ...boundedSanitizer() }),
  },
  torture: { share: 0.2, engines: "native", prepare: () => ({ EVENTMACHINE_ADDON: freshVariant("--torture") }) },
};

const { values } = parseArgs({
  options: {
    build: { type: "string", default: Object.keys(BUILDS).join(",") },
    seconds: { type: "string", default: "90" },
    fuzzer: { type: "string" },
    engine: { type: "string" },
    seed: { type: "string" },
    count: { type: "string" },
    rounds: { type: "string" },
  },
});
const passed = ["fuzzer", "seed", "count", "rounds"]
  .filter((name) => values[name] !== undefined)
  .flatMap((name) => [`--${name}`, values[name]]);

const names = values.build.split(",");
const unknown = names.filter((name) => !(name in BUILDS));
if (unknown.length > 0) fail(`--build must be of ${Object.keys(BUILDS).join(", ")}, not ${unknown.join(", ")}`);
const shares = names.reduce((sum, name) => sum + BUILDS[name].share, 0);
const root = fileURLToPath(new URL("..", import.meta.url));
let failed = 0;
for (const name of names) {
  const { share, engines, prepare } = BUILDS[name];
  const seconds = Math.ceil((Number(values.seconds) * share) / shares);
  console.log(`==== ${name} build, ${seconds} s`);
  const args = [
    ".build/test/fuzz/fuzz.js",
    "--seconds",
    String(seconds),
    "--engine",
    values.engine ?? engines,
    ...passed,
  ];
  const { status, error } = spawnSync(process.execPath, args, {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, EVENTMACHINE_FUZZED_BUILD: name, ...prepare() },
  });
  if (error !== undefined) throw error;
  if (status !== 0) failed++;
}
process.exitCode = failed === 0 ? 0 : 1;

function fail(message) {
  console.error(message);
  process.exit(2);
}
