// npm run bench [-- row...] [--peers a,b|all] [--pairs N] [--quick]
//
// Prints one table of ratios: the CPU time of a server process a message, against a yardstick that does the same job.
// docs/performance.md describes the method.
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { compare, median, spreadOf } from "./measure.mjs";
import { ROWS } from "./rows.mjs";
import { ECHO_SERVERS } from "./servers.mjs";

const USAGE = `usage: npm run bench -- [row...] [--peers a,b|all] [--pairs N] [--quick]
rows:  ${Object.keys(ROWS).join(" ")}   (default: all)
peers: ${ECHO_SERVERS.join(" ")}   (default: native,libuv,node)
--pairs N   pairs of runs a ratio (default 9)
--quick     3 pairs and a quarter of the messages: a look, not a result`;

function usageError(message) {
  console.error(`${message}\n${USAGE}`);
  process.exit(2);
}

function readArguments() {
  const options = {
    peers: { type: "string" },
    pairs: { type: "string" },
    quick: { type: "boolean" },
    help: { type: "boolean" },
  };
  let parsed;
  try {
    parsed = parseArgs({ options, allowPositionals: true });
  } catch (error) {
    usageError(error.message);
  }
  const { values, positionals } = parsed;
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  const quick = values.quick ?? false;
  const pairs = Number(values.pairs ?? (quick ? 3 : 9));
  if (!Number.isInteger(pairs) || pairs < 1) usageError("--pairs wants a positive integer");
  const all = ECHO_SERVERS.filter((name) => name !== "c");
  const peers = values.peers === "all" ? all : (values.peers ?? "native,libuv,node").split(",");
  for (const peer of peers) if (!ECHO_SERVERS.includes(peer)) usageError(`no peer is called ${peer}`);
  const rows = positionals.length > 0 ? positionals : Object.keys(ROWS);
  for (const row of rows) if (!Object.hasOwn(ROWS, row)) usageError(`no row is called ${row}`);
  return { rows, peers, pairs, quick };
}

const WIDTHS = [18, 29, 24, 10, 10, 7, 8, 13, 6, 5];

function print(cells) {
  const padded = cells.map((cell, i) => (i < 3 ? cell.padEnd(WIDTHS[i]) : cell.padStart(WIDTHS[i])));
  console.log(padded.join(" ").trimEnd());
}

function amount(value, unit) {
  if (unit === "µs") return `${(value / 1000).toFixed(2)} µs`;
  return `${value.toFixed(0)} ${unit}`;
}

function printComparison({ title, subject, yardstick, unit, goal }, result) {
  const { cost, base, ratio, spread, lowest, highest, attempts } = result;
  const range = `${lowest.toFixed(2)}-${highest.toFixed(2)}`;
  const [ours, theirs] = [amount(cost, unit), amount(base, unit)];
  const bound = goal?.toFixed(2) ?? "";
  print([
    title,
    subject.title,
    yardstick.title,
    ours,
    theirs,
    ratio.toFixed(2),
    spread.toFixed(2),
    range,
    bound,
    `${attempts}`,
  ]);
}

/** A row without a yardstick: the median of five runs, bytes and not ratios. */
async function printAlone({ title, subject, unit, goal, measureAlone }) {
  const values = [];
  for (let i = 0; i < 5; i++) values.push(await measureAlone());
  const range = `${Math.min(...values).toFixed(0)}-${Math.max(...values).toFixed(0)}`;
  const spread = spreadOf(values).toFixed(2);
  print([
    title,
    subject.title,
    "",
    amount(median(values), unit),
    "",
    "",
    spread,
    range,
    goal === undefined ? "" : `${goal}`,
    "1",
  ]);
}

if (process.platform !== "linux") throw new Error("the benchmark reads Linux's /proc and compiles an epoll loop");
if (availableParallelism() < 2) throw new Error("the benchmark wants two cores: one for the server, one for the load");
const { rows, peers, pairs, quick } = readArguments();
const missing = new Map();
const failures = [];
if (quick) console.log("quick look: too short for a result\n");
print(["row", "server", "against", "cost", "its cost", "ratio", "spread", "range", "goal", "runs"]);
for (const row of rows) {
  for (const entry of ROWS[row]({ peers, quick })) {
    const absent = [entry.subject, entry.yardstick].find((side) => side?.missing !== undefined);
    if (absent !== undefined) {
      missing.set(absent.title, absent.missing);
      continue;
    }
    try {
      if (entry.yardstick === undefined) await printAlone(entry);
      else printComparison(entry, await compare(entry.measurePair, pairs));
    } catch (error) {
      failures.push(`failed: ${entry.title}, ${entry.subject.title}: ${error.message}`);
      process.exitCode = 1;
    }
  }
}
console.log(`
cost: CPU time of the server's process (user and system, all threads) a message, connection or timer; median of ${pairs} runs.
ratio: median of the ratios of ${pairs} pairs of runs side by side; spread: distance of the quartiles over the median; range: lowest and
highest pair. A spread over 0.15 is measured again, up to three runs. idle memory: bytes a connection, median of 5.`);
for (const [title, why] of missing) console.log(`left out: ${title} (${why})`);
for (const failure of failures) console.log(failure);
