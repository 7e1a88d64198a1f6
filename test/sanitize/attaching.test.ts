import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { test } from "node:test";
import { onEveryEngine } from "../support/harness.js";
import { program } from "../support/paths.js";
import { PATIENCE } from "../support/wait.js";
import { Child } from "./sanitized_child.js";

const ROUNDS = 500;
const LISTENERS = 200;

onEveryEngine("threads that attach one descriptor at one moment", (engine) => {
  if (engine.name !== "native") return;

  async function race(kind: string, listening: readonly Server[] = []): Promise<{ one: number; nobody: number }> {
    const path = program(import.meta.url, "./programs/attaching.js");
    const args = [path, kind, String(ROUNDS), String(listening.length)];
    await using child = new Child(process.execPath, args, { inherit: listening.map(descriptorOf) });
    const figures = await child.json<{ one: number; nobody: number }>(2 * PATIENCE);
    assert.deepEqual(await child.soundEnd(), { code: 0, signal: null }, child.stderr);
    return figures;
  }

  test("it is one's alone, and what comes in is that one's", async () => {
    assert.deepEqual(await race("streams"), { one: ROUNDS, nobody: 0 });
  });

  test("it is one's alone, also where some take it for a listener", async () => {
    assert.deepEqual(await race("either"), { one: ROUNDS, nobody: 0 });
  });

  test("it is at most one's while its owner detaches it", async () => {
    const { one, nobody } = await race("detached");
    assert.equal(one + nobody, ROUNDS);
  });

  test("a listener is one's alone", async () => {
    const listening = Array.from({ length: LISTENERS }, () => createServer().listen(0, "127.0.0.1"));
    try {
      await Promise.all(listening.map((server) => once(server, "listening")));
      assert.deepEqual(await race("listeners", listening), { one: LISTENERS, nobody: 0 });
    } finally {
      for (const server of listening) server.close();
    }
  });
});

function descriptorOf(server: Server): number {
  return (server as unknown as { _handle: { fd: number } })._handle.fd;
}
