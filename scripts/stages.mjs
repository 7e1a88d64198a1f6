// Runs steps in stages, one stage after the other; the steps of a stage run side by side. See scripts/ci.mjs for its list.
//
// A step is { name, run, limit }: bash commands, of which the first that fails fails the step, and the seconds after which it
// has failed. A step that is alone in its stage prints as it goes; of several each has a log of its own, which is printed when
// the step ends. The first failure ends everything that runs, and no later stage begins. The end of a run lists what each step
// has cost, also where one failed.
import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** How long those that are told to end may take before they are killed. */
const GRACE = 5_000;
/** What a step may take that names no limit of its own, in seconds: several times what the longest takes. */
const LIMIT = 1200;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"];

/** Runs them all; the exit code, once everything has ended. */
export async function runStages(stages, { cwd = process.cwd(), print = (text) => process.stdout.write(text) } = {}) {
  const logs = mkdtempSync(join(tmpdir(), "em-stages-"));
  const run = new Run(logs, cwd, print);
  const stop = (signal) => run.end(`by ${signal}`);
  for (const signal of SIGNALS) process.on(signal, stop);
  try {
    for (const stage of stages) {
      await run.stage(stage);
      if (run.failure !== undefined) break;
    }
  } finally {
    for (const signal of SIGNALS) process.off(signal, stop);
    rmSync(logs, { recursive: true, force: true });
  }
  run.tellCosts();
  return run.failure === undefined ? 0 : 1;
}

class Run {
  /** Why the run has failed; undefined as long as it has not. */
  failure = undefined;
  #begun = performance.now();
  #costs = [];
  #running = new Set();
  #logs;
  #cwd;
  #print;

  constructor(logs, cwd, print) {
    this.#logs = logs;
    this.#cwd = cwd;
    this.#print = print;
  }

  async stage(steps) {
    if (steps.length > 1) this.#print(`\n==== side by side: ${steps.map(({ name }) => name).join(" | ")}\n`);
    await Promise.all(steps.map((step, index) => this.#step(step, steps.length === 1 ? undefined : index)));
  }

  /** Ends what runs, and lets nothing begin. */
  end(why) {
    this.failure ??= why;
    for (const child of this.#running) signalGroup(child, "SIGTERM");
    setTimeout(() => {
      for (const child of this.#running) signalGroup(child, "SIGKILL");
    }, GRACE).unref();
  }

  tellCosts() {
    this.#print("\nseconds by step\n");
    for (const { name, seconds } of this.#costs) this.#print(`${seconds.toFixed(0).padStart(6)}  ${name}\n`);
    this.#print(`${this.#seconds().toFixed(0).padStart(6)}  in all\n`);
    if (this.failure !== undefined) this.#print(`\nFAILED: ${this.failure}\n`);
  }

  async #step({ name, run, limit = LIMIT }, index) {
    const begun = this.#seconds();
    const log = index === undefined ? undefined : join(this.#logs, String(index));
    if (log === undefined) this.#tell(name);
    const late = setTimeout(() => this.end(`${name} (took longer than ${limit} s)`), limit * 1000);
    const how = await this.#bash(run, log);
    clearTimeout(late);
    const seconds = this.#seconds() - begun;
    this.#costs.push({ name, seconds });
    if (log !== undefined) {
      this.#tell(name);
      this.#print(readFileSync(log, "utf8"));
    }
    if (how === 0) return;
    this.#print(`\n==== ${name}: ${this.failure === undefined ? `failed (${how})` : `ended early (${how})`}\n`);
    if (this.failure === undefined) this.end(name);
  }

  /** Runs the commands in a process group of their own, of which nothing is left when they have ended; their exit code or signal. */
  async #bash(commands, log) {
    const output = log === undefined ? undefined : openSync(log, "w");
    const child = spawn("bash", ["-euo", "pipefail", "-c", commands], {
      cwd: this.#cwd,
      detached: true,
      stdio: ["ignore", output ?? "inherit", output ?? "inherit"],
    });
    this.#running.add(child);
    try {
      return await new Promise((resolve, reject) => {
        child.on("error", reject);
        child.on("exit", (code, signal) => resolve(code ?? signal));
      });
    } finally {
      this.#running.delete(child);
      signalGroup(child, "SIGKILL");
      if (output !== undefined) closeSync(output);
    }
  }

  #tell(name) {
    this.#print(`\n==== ${name} (${this.#seconds().toFixed(0)} s so far)\n`);
  }

  #seconds() {
    return (performance.now() - this.#begun) / 1000;
  }
}

function signalGroup(child, signal) {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}
