import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "em-bundle-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const PROGRAM = `
import { connect, Connection, engineInfo, run, startServer, stop, ThreadedResource } from "eventmachine";
class Echo extends Connection { receiveData(data) { this.sendData(data); } }
class Client extends Connection {
  connectionCompleted() { this.sendData("hello"); }
  receiveData(data) { console.log(String(data)); stop(); }
}
run(async () => {
  const { port } = await startServer({ host: "127.0.0.1", port: 0 }, Echo);
  connect({ host: "127.0.0.1", port }, Client);
}).then(() => {
  const { engine, reason } = engineInfo();
  console.log(engine, typeof reason, typeof ThreadedResource);
}, (error) => console.log(error.code));
`;

/** The package in one file, away from every node_modules. */
function bundle(format: "esm" | "cjs"): string {
  const source = join(ROOT, ".build", `bundled-${format}.mjs`);
  const file = join(folder, `app.${format === "esm" ? "mjs" : "cjs"}`);
  writeFileSync(source, PROGRAM);
  const options = ["--bundle", "--platform=node", `--format=${format}`, `--outfile=${file}`, "--log-level=error"];
  execFileSync(join(ROOT, "node_modules/.bin/esbuild"), [source, ...options], { cwd: ROOT });
  return file;
}

function runs(file: string, engine: string | undefined): { lines: string[]; warnings: number; status: number | null } {
  const { EVENTMACHINE_ENGINE: _, EVENTMACHINE_ADDON: __, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [file], {
    cwd: folder,
    encoding: "utf8",
    env: engine === undefined ? env : { ...env, EVENTMACHINE_ENGINE: engine },
    timeout: 60_000,
  });
  const warnings = stderr.split("\n").filter((line) => line.includes("EM_PORTABLE")).length;
  return { lines: stdout.trim().split("\n"), warnings, status };
}

for (const format of ["esm", "cjs"] as const) {
  test(`a bundle of ${format} runs on the portable engine with one warning`, () => {
    const file = bundle(format);
    assert.deepEqual(runs(file, undefined), {
      lines: ["hello", "portable string function"],
      warnings: 1,
      status: 0,
    });
    assert.deepEqual(runs(file, "portable").lines, ["hello", "portable string function"]);
    assert.equal(runs(file, "portable").warnings, 0);
    assert.deepEqual(runs(file, "native"), { lines: ["ERR_EM_ENGINE_UNAVAILABLE"], warnings: 0, status: 0 });
  });
}
