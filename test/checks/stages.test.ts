import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { Child } from "../support/child.js";
import { ROOT } from "../support/paths.js";
import { until } from "../support/wait.js";

interface Step {
  readonly name: string;
  readonly run: string;
  readonly limit?: number;
}

const STAGES = pathToFileURL(join(ROOT, "scripts/stages.mjs")).href;

/** A run of these stages in a folder of its own, in which steps leave files. */
class StagedRun implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "em-stages-test-"));
  readonly child: Child;

  constructor(stages: readonly (readonly Step[])[]) {
    const program = `import { runStages } from ${JSON.stringify(STAGES)};
process.exitCode = await runStages(${JSON.stringify(stages)}, { cwd: ${JSON.stringify(this.#folder)} });`;
    writeFileSync(join(this.#folder, "run.mjs"), program);
    this.child = new Child(process.execPath, [join(this.#folder, "run.mjs")]);
  }

  async result(): Promise<{ code: number | null; output: string }> {
    const lines = await this.child.rest();
    const { code } = await this.child.ended();
    return { code, output: lines.join("\n") };
  }

  /** The process's number that a step has written into a file. */
  async pid(name: string): Promise<number> {
    await until(() => this.#read(name).endsWith("\n"), `a process id in ${name}`);
    return Number(this.#read(name));
  }

  #read(name: string): string {
    try {
      return readFileSync(join(this.#folder, name), "utf8");
    } catch {
      return "";
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Whoever is killed is there until init has looked. */
async function isGone(...pids: number[]): Promise<void> {
  await until(() => !pids.some(isRunning), "that nothing is left of what a step has started");
}

/** A step whose child writes its id and sleeps much longer than the test may take. */
function sleeper(name: string, limit?: number): Step {
  const run = `(echo "$BASHPID" > ${name}; exec sleep 600) & echo ${name} sleeps; wait`;
  return limit === undefined ? { name, run } : { name, run, limit };
}

async function run(...stages: Step[][]): Promise<{ code: number | null; output: string }> {
  await using staged = new StagedRun(stages);
  return await staged.result();
}

test("a run passes when every step has passed, and tells what each cost", async () => {
  const { code, output } = await run(
    [{ name: "first", run: "echo from the first" }],
    [
      { name: "left", run: "echo from the left" },
      { name: "right", run: "echo from the right >&2" },
    ],
  );
  assert.equal(code, 0, output);
  for (const said of ["from the first", "from the left", "from the right"]) assert.ok(output.includes(said), output);
  assert.match(output, /seconds by step\n +\d+ {2}first\n(?: +\d+ {2}(?:left|right)\n){2} +\d+ {2}in all/);
});

test("the logs of steps side by side are not mixed", async () => {
  const lines = (name: string) => ({ name, run: `for each in 1 2 3 4 5; do echo ${name} $each; sleep 0.05; done` });
  const { output } = await run([lines("left"), lines("right")]);
  for (const name of ["left", "right"]) {
    const block = [1, 2, 3, 4, 5].map((each) => `${name} ${each}`).join("\n");
    assert.ok(output.includes(block), output);
  }
});

test("a step that fails beside others fails the run, ends them and is named", async () => {
  await using staged = new StagedRun([
    [sleeper("patient"), { name: "broken", run: "until [ -s patient ]; do sleep 0.05; done; echo it broke; exit 3" }],
    [{ name: "later", run: "echo never to be seen" }],
  ]);
  const pid = await staged.pid("patient");
  const { code, output } = await staged.result();
  assert.equal(code, 1, output);
  assert.match(output, /it broke\n\n==== broken: failed \(3\)/);
  assert.match(output, /patient sleeps\n\n==== patient: ended early/);
  assert.match(output, /\nFAILED: broken$/);
  assert.ok(!output.includes("never to be seen"), output);
  await isGone(pid);
});

test("a step that fails alone ends the run before the next stage", async () => {
  const { code, output } = await run(
    [{ name: "broken", run: "exit 1" }],
    [{ name: "later", run: "echo never to be seen" }],
  );
  assert.equal(code, 1, output);
  assert.match(output, /\nFAILED: broken$/);
  assert.ok(!output.includes("never to be seen"), output);
});

for (const [what, commands] of [
  ["a command in the middle", "true\nfalse\ntrue"],
  ["the beginning of a pipe", "false | true"],
  ["a variable that was never set", 'echo "$NEVER_SET_ANYWHERE"'],
  ["a signal", "kill -KILL $$"],
] as const) {
  test(`${what} fails its step`, async () => {
    const { code, output } = await run([{ name: "broken", run: commands }]);
    assert.equal(code, 1, output);
    assert.match(output, /\nFAILED: broken$/);
  });
}

test("a step that takes longer than its limit fails the run", async () => {
  await using staged = new StagedRun([[sleeper("slow", 0.5)]]);
  const pid = await staged.pid("slow");
  const { code, output } = await staged.result();
  assert.equal(code, 1, output);
  assert.match(output, /\nFAILED: slow \(took longer than 0.5 s\)$/);
  await isGone(pid);
});

test("a run that is told to end ends its steps, and has failed", async () => {
  await using staged = new StagedRun([[sleeper("left"), sleeper("right")]]);
  const pids = [await staged.pid("left"), await staged.pid("right")];
  staged.child.kill("SIGTERM");
  const { code, output } = await staged.result();
  assert.equal(code, 1, output);
  assert.match(output, /\nFAILED: by SIGTERM$/);
  await isGone(...pids);
});

test("what a step leaves running ends with it", async () => {
  await using staged = new StagedRun([[{ name: "careless", run: 'sleep 600 & echo "$!" > left' }]]);
  const pid = await staged.pid("left");
  const { code, output } = await staged.result();
  assert.equal(code, 0, output);
  await isGone(pid);
});
