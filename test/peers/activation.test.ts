import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";
import { Child } from "../support/child.js";
import { onEveryEngine } from "../support/harness.js";
import { program, source } from "../support/paths.js";
import { until, within } from "../support/wait.js";

interface Activated {
  passed: { fd: number; name: string }[];
  addresses?: { family: string; port?: number; path?: string }[];
  error?: string;
}

const folder = mkdtempSync(join(tmpdir(), "em-activation-"));
after(() => rmSync(folder, { recursive: true, force: true }));

onEveryEngine("socket activation", (engine) => {
  function activate(names: string, env: Record<string, string> = {}): Child {
    const node = [process.execPath, program(import.meta.url, "./programs/activated.js"), engine.name];
    return new Child("python3", [source("peers/activate.py"), names, ...node], {
      env,
    });
  }

  test("listening descriptors from 3 on are found, named and served", async () => {
    const path = join(folder, `${engine.name}.sock`);
    await using server = activate(`web,admin,${path}`);
    const { passed, addresses, error } = await server.json<Activated>();
    assert.deepEqual(
      passed.map(({ fd, name }) => ({ fd, name })),
      [
        { fd: 3, name: "web" },
        { fd: 4, name: "admin" },
        { fd: 5, name: path.replaceAll("/", "_") },
      ],
    );
    if (!engine.has("adoptListener")) {
      assert.equal(error, "ERR_EM_UNSUPPORTED");
      return;
    }
    assert.equal(error, undefined);
    const [web, admin] = JSON.parse(server.stderr.split("\n")[0] ?? "") as [[string, number], [string, number]];
    assert.equal(addresses?.[0]?.port, web[1]);
    assert.equal(await greeting({ host: "127.0.0.1", port: web[1] }), "this is web\n");
    assert.equal(await greeting({ host: "127.0.0.1", port: admin[1] }), "this is admin\n");
    assert.equal(await greeting({ path }), `this is ${path.replaceAll("/", "_")}\n`);
    server.feed("", true);
    assert.deepEqual(await server.ended(), { code: 0, signal: null }, server.stderr);
  });

  test("who connected before the server ran is served too", async () => {
    await using server = activate("early");
    await until(() => server.stderr.includes("\n"), "the listener is there");
    const [[, port]] = JSON.parse(server.stderr.split("\n")[0] ?? "") as [[string, number]];
    const early = engine.has("adoptListener") ? greeting({ host: "127.0.0.1", port }) : undefined;
    const { error } = await server.json<Activated>();
    if (early === undefined) assert.equal(error, "ERR_EM_UNSUPPORTED");
    else assert.equal(await early, "this is early\n");
  });

  test("descriptors meant for another process are left alone", async () => {
    await using server = activate("web", { LISTEN_PID: "SHIFTED" });
    assert.deepEqual(await server.json<Activated>(), { passed: [], addresses: [] });
    server.feed("", true);
    assert.deepEqual(await server.ended(), { code: 0, signal: null }, server.stderr);
  });
});

function greeting(address: { host: string; port: number } | { path: string }): Promise<string> {
  return within(text(connect(address)), `a greeting from ${JSON.stringify(address)}`);
}
