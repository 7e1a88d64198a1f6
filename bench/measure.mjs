// The method: servers and load pinned to a core each, pairs of runs interleaved slice by slice, the median of the pair
// ratios with its spread.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { loadGenerator, server } from "./servers.mjs";

const SERVER_CORE = "0";
const LOAD_CORE = "1";
const START_DEADLINE = 20_000;
const ANSWER_DEADLINE = 120_000;
const STOP_DEADLINE = 5_000;

/** In a pair, true is the subject's turn. Neither is ever long behind the other, and no drift favours one. */
const TURNS = [true, false, false, true, false, true, true, false];

const exec = promisify(execFile);

/** Runs a command pinned to the servers' core and returns what it printed. */
export async function runPinned(command) {
  const { stdout } = await exec("taskset", ["-c", SERVER_CORE, ...command], { timeout: ANSWER_DEADLINE });
  return stdout;
}

/** A pinned child process that is spoken to line by line. */
class Child {
  #process;
  #lines;
  #waiting = [];
  #unread = [];
  #ended = false;
  #exited;

  constructor(core, command, env = {}) {
    this.#process = spawn("taskset", ["-c", core, ...command], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, ...env },
    });
    this.#exited = once(this.#process, "exit");
    this.#process.stdin.on("error", () => {}); // the exit tells more than EPIPE
    this.#lines = createInterface({ input: this.#process.stdout });
    this.#lines.on("line", (line) => {
      const next = this.#waiting.shift();
      if (next === undefined) this.#unread.push(line);
      else next(line);
    });
    this.#lines.on("close", () => {
      this.#ended = true;
      for (const next of this.#waiting) next(undefined);
    });
  }

  get pid() {
    return this.#process.pid;
  }

  signal(name) {
    this.#process.kill(name);
  }

  tell(text) {
    this.#process.stdin.write(`${text}\n`);
  }

  /** The next line it prints; throws when it ends or says nothing in time. */
  async line(deadline = ANSWER_DEADLINE) {
    if (this.#unread.length > 0) return this.#unread.shift();
    let timer;
    const line = await new Promise((resolve) => {
      if (this.#ended) return resolve(undefined);
      this.#waiting.push(resolve);
      timer = setTimeout(resolve, deadline);
    });
    clearTimeout(timer);
    if (line === undefined) throw new Error(`${this.#process.spawnargs.slice(3).join(" ")}: no answer`);
    return line;
  }

  async stop() {
    this.#process.stdin.end();
    this.#process.kill("SIGTERM");
    const force = setTimeout(() => this.#process.kill("SIGKILL"), STOP_DEADLINE);
    await this.#exited;
    clearTimeout(force);
  }
}

/** Starts a server and waits until it listens. */
export async function startServer(name, nodeFlags = [], env = {}, { core = SERVER_CORE, more = [] } = {}) {
  const [program, ...args] = server(name).command;
  const child = new Child(core, [program, ...nodeFlags, ...args, ...more], env);
  const said = await child.line(START_DEADLINE);
  const port = /^listening on .*:(\d+)$/.exec(said)?.[1];
  if (port !== undefined) return { child, port };
  await child.stop();
  throw new Error(`${name} did not start: ${said}`);
}

/** Starts the load generator on its core; it does a round for each number it is told. */
export function startLoad(kind, ...args) {
  return new Child(LOAD_CORE, [loadGenerator(kind), ...args]);
}

/** A fresh server with its load; `play(messages)` returns nanoseconds of server CPU time for that many. */
async function startSide(name, load) {
  // A relay's backend stands beside the load.
  const backend = load.backend && (await startServer(load.backend, [], {}, { core: LOAD_CORE }));
  const { child, port } = await startServer(name, [], {}, { more: backend ? [backend.port] : [] });
  const mode = load.kind?.startsWith("datagram") ? [] : [load.mode ?? "echo"];
  const args = [...mode, port, "--pid", `${child.pid}`, "--size", `${load.size ?? 64}`];
  if (load.flow) args.push("--flow", load.flow);
  else args.push("--connections", `${load.connections}`, "--depth", `${load.depth ?? 1}`);
  if (load.lines) args.push("--lines");
  if (load.resume) args.push("--resume");
  const generator = startLoad(load.kind ?? "plain", ...args);
  return {
    async play(messages) {
      generator.tell(messages);
      return JSON.parse(await generator.line()).serverCpuNs;
    },
    async stop() {
      await generator.stop();
      await child.stop();
      await backend?.child.stop();
    },
  };
}

/**
 * One pair of servers under the same load: both are started fresh, opened and warmed up, then take turns of an equal
 * number of messages. Returns the nanoseconds of CPU time a message of each.
 */
export async function pairOfServers(subject, yardstick, load) {
  const sides = [];
  try {
    for (const name of [subject, yardstick]) {
      const side = await startSide(name, load);
      sides.push(side);
      await side.play(load.warmup);
    }
    const spent = [0, 0];
    const slice = Math.ceil(load.messages / (TURNS.length / 2));
    for (const turn of TURNS) {
      const which = turn ? 0 : 1;
      spent[which] += await sides[which].play(slice);
    }
    return spent.map((ns) => ns / (slice * (TURNS.length / 2)));
  } finally {
    for (const side of sides) await side.stop();
  }
}

/** One pair of commands that each print what they cost: subject, yardstick, yardstick, subject. */
export async function pairOfCommands(subject, yardstick) {
  const cost = async (command) => Number(await runPinned(command));
  const [a, b, c, d] = [await cost(subject), await cost(yardstick), await cost(yardstick), await cost(subject)];
  return [(a + d) / 2, (b + c) / 2];
}

/** The value below which a share `q` of the values lies, between the two nearest ones in proportion. */
export function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)];
  return low + (sorted[Math.ceil(at)] - low) * (at % 1);
}

export const median = (values) => quantile(values, 0.5);

/** The distance of the quartiles, as a share of the median. */
export const spreadOf = (values) => (quantile(values, 0.75) - quantile(values, 0.25)) / median(values);

/**
 * The median ratio of `pairs` pairs. Measured again, up to twice, while the ratios spread over more than 0.15; the
 * attempt with the least spread counts.
 */
export async function compare(measurePair, pairs) {
  let best;
  let attempts = 0;
  do {
    const costs = [];
    for (let i = 0; i < pairs; i++) costs.push(await measurePair());
    const ratios = costs.map(([subject, yardstick]) => subject / yardstick);
    const result = {
      cost: median(costs.map(([subject]) => subject)),
      base: median(costs.map(([, yardstick]) => yardstick)),
      ratio: median(ratios),
      spread: spreadOf(ratios),
      lowest: Math.min(...ratios),
      highest: Math.max(...ratios),
    };
    if (best === undefined || result.spread < best.spread) best = result;
    attempts++;
  } while (best.spread > 0.15 && attempts < 3);
  return { ...best, attempts };
}
