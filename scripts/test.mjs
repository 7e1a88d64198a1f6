// Runs the compiled tests: every test/**/*.test.ts, or those whose path contains one of the arguments.
//   npm test                      all of them
//   npm test -- conformance cli   those of two folders
//   npm test -- --list conformance
//   npm test -- --fast            a representative few, in under a minute, for the work in between
//
// A test that needs a program which is not on this machine is counted apart, and named at the end with what to install;
// where CI is true it is a failure. Files run side by side, those that measure time after the others and fewer at once.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

// For what hangs outside of any test: tests have limits of their own. The longest file takes a minute of CPU time.
const FILE_TIMEOUT = 600_000;
const SLOWEST = 20;
/** Most files wait more than they compute. */
const FILES_AT_ONCE = 6;
/** What measures time: run when the others are through, two files on the two cores. */
const QUIET = ["deadlines", "timers", "timer_wheel", "flow", "close.test", "idle", "never_reads", "tls_ends", "turn"];
const QUIET_AT_ONCE = 2;

/** One file of each kind: the life of a connection, bytes, ends, TLS, Unix sockets, each engine, the toolbox, docs. */
const FAST = [
  "conformance/life",
  "conformance/write",
  "conformance/half_close",
  "conformance/errors",
  "conformance/connect",
  "conformance/ticks",
  "conformance/tls_names",
  "conformance/unix",
  "engine/native/stream",
  "engine/portable/stream",
  "protocols/line_text2",
  "toolbox/deferrable",
  "toolbox/queue",
  "tls/context",
  "interop/duplex.test",
  "base/",
  "docs/errors",
  "docs/limits",
  "docs/links",
];

const root = fileURLToPath(new URL("..", import.meta.url));
const options = { list: { type: "boolean" }, fast: { type: "boolean" } };
const { values, positionals: filters } = parseArgs({ options, allowPositionals: true });

// From the sources: what an earlier compilation left behind is no test any more.
const sources = readdirSync(join(root, "test"), { recursive: true })
  .map((name) => join("test", name).split(sep).join("/"))
  .filter((name) => name.endsWith(".test.ts"))
  .filter((name) => values.fast !== true || FAST.some((part) => name.includes(part)))
  .filter((name) => filters.length === 0 || filters.some((filter) => name.includes(filter)))
  .sort();
const compiled = (name) => join(".build", name.replace(/\.ts$/, ".js"));
const files = sources.map(compiled);

const folder = mkdtempSync(join(tmpdir(), "em-tests-"));
const times = join(folder, "times");
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

if (files.length === 0) fail(`no test file matches: ${filters.join(" ")}`);
const missing = files.filter((file) => !existsSync(join(root, file)));
if (missing.length > 0) fail(`not compiled (npm run build:test): ${missing.join(" ")}`);

if (values.list) {
  console.log(sources.join("\n"));
} else {
  const isQuiet = (name) => QUIET.some((part) => name.includes(part));
  const slices = [
    { names: sources.filter((name) => !isQuiet(name)), atOnce: FILES_AT_ONCE },
    { names: sources.filter(isQuiet), atOnce: QUIET_AT_ONCE },
  ];
  for (const { names, atOnce } of slices) {
    if (names.length > 0 && !passes(names.map(compiled), atOnce)) process.exitCode = 1;
  }
  showTimes();
}

/** Whether all tests of these files passed. Where CI is not true, those that lacked a program do not count. */
function passes(slice, atOnce) {
  const report = join(folder, "report.json");
  rmSync(report, { force: true });
  const { status, error } = spawnSync(
    process.execPath,
    [
      `--import=${new URL("test_deadline.mjs", import.meta.url)}`,
      "--test",
      `--test-reporter=${new URL("test_report.mjs", import.meta.url)}`,
      "--test-reporter-destination=stdout",
      `--test-concurrency=${atOnce}`,
      `--test-timeout=${FILE_TIMEOUT}`,
      ...slice,
    ],
    {
      cwd: root,
      stdio: "inherit",
      env: { ...process.env, TEST_FILE_TIMEOUT: String(FILE_TIMEOUT), TEST_REPORT: report, TEST_TIMES: times },
    },
  );
  if (error !== undefined) throw error;
  if (status === 0) return true;
  if (process.env.CI === "true" || !existsSync(report)) return false;
  const { failed, lacking } = JSON.parse(readFileSync(report, "utf8"));
  return status === 1 && failed === 0 && lacking > 0;
}

/** The slowest files: how long each took, and how much of that it computed. */
function showTimes() {
  if (!existsSync(times)) return;
  const lines = readFileSync(times, "utf8").trim().split("\n");
  const slowest = lines.map((line) => JSON.parse(line)).sort((a, b) => b.ms - a.ms);
  const seconds = (ms) => (ms / 1000).toFixed(1).padStart(8);
  console.log("\nslowest files\n seconds     CPU");
  for (const { file, ms, cpu } of slowest.slice(0, SLOWEST)) {
    console.log(`${seconds(ms)}${seconds(cpu)}  ${relative(join(root, ".build"), file).replace(/js$/, "ts")}`);
  }
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
