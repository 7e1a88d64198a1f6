import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { sameBytes } from "../../support/bytes.js";
import { onEveryEngine } from "../../support/harness.js";
import { pattern } from "./agent.js";
import { PAIRINGS, play } from "./differential.js";

/** The content of an HTTP/1.1 chunked body (RFC 9112 section 7.1), which must end with its last chunk. */
function dechunk(body: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const lineEnd = body.indexOf("\r\n", at);
    assert.notEqual(lineEnd, -1, "a chunk begins with its size");
    const head = body.toString("latin1", at, lineEnd);
    assert.match(head, /^[0-9a-f]+$/i);
    const size = Number.parseInt(head, 16);
    const from = lineEnd + 2;
    assert.equal(body.toString("latin1", from + size, from + size + 2), "\r\n", "a chunk ends with a line end");
    if (size === 0) {
      assert.equal(from + 2, body.length, "nothing follows the last chunk");
      return Buffer.concat(parts);
    }
    parts.push(body.subarray(from, from + size));
    at = from + size + 2;
  }
}

onEveryEngine("files, beside Ruby's EventMachine", (engine) => {
  for (const pairing of PAIRINGS) {
    if (pairing.server === "ruby" && pairing.client === "ruby" && engine.name !== "native") continue;
    const who = `server ${pairing.server}, client ${pairing.client}`;

    engine.rule(`streamed as it is: ${who}`, async (trial) => {
      const file = trial.path("file");
      const content = pattern(3_000_000);
      writeFileSync(file, content);
      const { server, client } = await play(trial, pairing, {
        server: { postInit: [["streamFile", file, false]] },
        client: {},
      });
      assert.equal(client.bytes, content.length);
      assert.equal(client.sha256, createHash("sha256").update(content).digest("hex"));
      assert.equal(client.reason, null);
      assert.equal(server.reason, null);
    });

    // Ruby sends the last chunk of an empty file twice.
    for (const size of pairing.server === "ours" ? [0, 1, 16_384, 3_000_000] : [1, 16_384, 3_000_000]) {
      engine.rule(`${size} bytes streamed in HTTP chunks: ${who}`, async (trial) => {
        const file = trial.path("file");
        const into = trial.path("received");
        const content = pattern(size);
        writeFileSync(file, content);
        const { client } = await play(trial, pairing, {
          server: { postInit: [["streamFile", file, true]] },
          client: { keepIn: into },
        });
        const body = readFileSync(into);
        assert.equal(body.length, client.bytes);
        sameBytes(dechunk(body), content);
      });
    }

    engine.rule(`a small file sent whole, in its place: ${who}`, async (trial) => {
      const file = trial.path("file");
      writeFileSync(file, pattern(5_000));
      const { client } = await play(trial, pairing, {
        server: {
          postInit: [
            ["send", "before "],
            ["sendFile", file],
          ],
        },
        client: {},
      });
      const expected = createHash("sha256").update("before ").update(pattern(5_000)).digest("hex");
      assert.deepEqual({ bytes: client.bytes, sha256: client.sha256 }, { bytes: 5_007, sha256: expected });
    });
  }
});
