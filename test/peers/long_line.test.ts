import assert from "node:assert/strict";
import { test } from "node:test";
import { Child } from "../support/child.js";
import { onEveryEngine } from "../support/harness.js";
import { program } from "../support/paths.js";
import { RawPeer } from "../support/raw_peer.js";

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

interface Ended {
  kind: string;
  code?: string;
  limit?: number;
  name?: string;
  lines: number;
  bytesIn: number;
  most: number;
}

onEveryEngine("a line of 1 GiB", (engine) => {
  test("closes the connection with its error when the limit is passed; the rest is neither read nor kept", async () => {
    await using server = new Child(process.execPath, [program(import.meta.url, "./programs/lines.js"), engine.name]);
    const { port } = await server.json<{ port: number }>();
    const before = server.memory();
    await using peer = new RawPeer();
    await peer.connect({ port });
    await peer.send("a line\nanother\n");
    const { sent, error } = await peer.flood(GiB);
    assert.ok(error === "ECONNRESET" || error === "EPIPE", `the flood ended with ${error}`);
    assert.ok(sent < 64 * MiB, `${sent} bytes were taken, by the kernel's buffers or by us`);
    const ended = await server.json<Ended>();
    assert.deepEqual(
      { kind: ended.kind, code: ended.code, limit: ended.limit, name: ended.name, lines: ended.lines },
      { kind: "handler-error", code: "ERR_EM_LINE_TOO_LONG", limit: 65_536, name: "LimitError", lines: 2 },
    );
    assert.ok(ended.bytesIn < MiB, `${ended.bytesIn} bytes were read`);
    assert.ok(ended.most - before < 64 * MiB, `the process grew by ${Math.round((ended.most - before) / MiB)} MiB`);
  });

  test("a hundred such peers at once are no more trouble, and well-behaved ones are served", async () => {
    await using server = new Child(process.execPath, [program(import.meta.url, "./programs/lines.js"), engine.name]);
    const { port } = await server.json<{ port: number }>();
    const before = server.memory();
    const names = Array.from({ length: 100 }, (_, at) => `peer ${at}`);
    await using peer = new RawPeer();
    await peer.connect({ port }, { names });
    for (const socket of names) await peer.sendUnheeded("x".repeat(100_000), socket);
    let most = 0;
    for (let count = 0; count < names.length; count++) {
      const ended = await server.json<Ended>();
      assert.equal(ended.code, "ERR_EM_LINE_TOO_LONG");
      most = Math.max(most, ended.most);
    }
    assert.ok(most - before < 96 * MiB, `the process grew by ${Math.round((most - before) / MiB)} MiB`);
    await peer.connect({ port });
    await peer.send("fine\n");
    await peer.close();
    const ended = await server.json<Ended>();
    assert.deepEqual({ kind: ended.kind, lines: ended.lines }, { kind: "peer-closed", lines: 1 });
  });
});
