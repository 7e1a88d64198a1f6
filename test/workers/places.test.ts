import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { PATIENCE, within } from "../support/wait.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), "em-defer-"));
after(() => rmSync(folder, { recursive: true }));

/** Defers to a thread, to a module and to a ThreadedResource, and says what came of it. */
const PROGRAM = `
  import { Reactor, ThreadedResource, worker } from "eventmachine";
  const module = new URL("data:text/javascript,export default (x) => 2 * x");
  const made = new URL("data:text/javascript,export default () => ({ add: (a, b) => a + b })");
  const reactor = new Reactor({ engine: "portable" });
  function twice(value) {
    const inner = (each) => 2 * each;
    return inner(value);
  }
  reactor.run(async () => {
    const sums = new ThreadedResource(made);
    const results = await Promise.all([
      reactor.defer(worker(twice, 1)),
      reactor.defer(worker(async () => (await import("node:path")).sep)),
      reactor.defer({ module, args: [21] }),
      sums.dispatch("add", 3, 4),
    ]);
    console.log(JSON.stringify(results));
    await sums.shutdown();
    reactor.stop();
  });
`;
const RESULTS = JSON.stringify([2, "/", 42, 7]);

function bundle(format: "esm" | "cjs", ...options: string[]): string {
  const source = join(ROOT, ".build", `deferring-${format}-${options.length}.mjs`);
  const file = join(folder, `deferring${options.length}.${format === "esm" ? "mjs" : "cjs"}`);
  // What a bundler makes of a function that it wraps in a helper of its own is not self-contained.
  const isMinified = options.includes("--minify");
  writeFileSync(source, isMinified ? PROGRAM.replace(/const inner.*\n\s*return inner/, "return 2 * ") : PROGRAM);
  const fixed = ["--bundle", "--platform=node", `--format=${format}`, `--outfile=${file}`, "--log-level=error"];
  execFileSync(join(ROOT, "node_modules/.bin/esbuild"), [source, ...fixed, ...options], { stdio: "pipe" });
  return file;
}

describe("where threads can be had", () => {
  for (const format of ["esm", "cjs"] as const) {
    for (const options of [[], ["--minify", "--keep-names"]]) {
      it(`in a bundle of ${format} ${options.join(" ")}`, async () => {
        const { stdout } = await run(process.execPath, [bundle(format, ...options)], { timeout: PATIENCE });
        assert.equal(stdout.trim(), RESULTS);
      });
    }
  }

  it("under the permission model, where that allows threads; else the refusal is typed", async () => {
    const flag = process.allowedNodeEnvironmentFlags.has("--permission") ? "--permission" : "--experimental-permission";
    const file = bundle("esm");
    const allowed = [flag, `--allow-fs-read=${folder}/*`];
    const { stdout } = await run(process.execPath, [...allowed, "--allow-worker", file], { timeout: PATIENCE });
    assert.equal(stdout.trim(), RESULTS);
    const refusing = join(folder, "refusing.mjs");
    execFileSync(
      join(ROOT, "node_modules/.bin/esbuild"),
      ["--bundle", "--platform=node", "--format=esm", `--outfile=${refusing}`, "--log-level=error", "--loader=js"],
      {
        cwd: ROOT,
        input: `
          import { Reactor, worker } from "eventmachine";
          const reactor = new Reactor({ engine: "portable" });
          reactor.run(async () => {
            for (let count = 0; count < 3; count++) {
              await reactor.defer(worker(() => 1)).catch((error) => console.log(error.code, error.cause.code));
            }
            console.log((await reactor.resolver.resolve("localhost")).join(" "));
            reactor.stop();
          });`,
      },
    );
    const refused = await run(process.execPath, [...allowed, refusing], { timeout: PATIENCE });
    assert.deepEqual(refused.stdout.trim().split("\n"), [
      ...Array<string>(3).fill("ERR_EM_THREAD_ENDED ERR_ACCESS_DENIED"),
      "::1 127.0.0.1",
    ]);
  });

  it("in a thread", async () => {
    const source = `
      import { parentPort } from "node:worker_threads";
      ${PROGRAM.replace("console.log(JSON.stringify(results))", "parentPort.postMessage(JSON.stringify(results))")}`;
    const file = join(ROOT, ".build", "deferring-thread.mjs");
    writeFileSync(file, source);
    const thread = new Worker(file);
    const answer = await within(new Promise((resolve) => thread.once("message", resolve)), "the answer");
    assert.equal(answer, RESULTS);
    assert.equal(await within(new Promise((resolve) => thread.once("exit", resolve)), "it ends by itself"), 0);
  });
});
