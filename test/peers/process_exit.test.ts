import assert from "node:assert/strict";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { Child } from "../support/child.js";
import { onEveryEngine } from "../support/harness.js";
import { program } from "../support/paths.js";
import { within } from "../support/wait.js";

onEveryEngine("process.exit", (engine) => {
  for (const size of [0, 1_000, 60_000]) {
    test(`inside receiveData: the ${size} bytes sent before it arrive`, async () => {
      const args = [program(import.meta.url, "./programs/exiting.js"), engine.name, String(size)];
      await using server = new Child(process.execPath, args);
      const { port } = await server.json<{ port: number }>();
      const socket = connect({ host: "127.0.0.1", port });
      socket.write("go");
      const answer = await within(text(socket), "the last words");
      assert.equal(answer.length, "begin:".length + size);
      assert.equal(answer, `begin:${"w".repeat(size)}`);
      assert.deepEqual(await server.ended(), { code: 7, signal: null }, server.stderr);
    });
  }
});
