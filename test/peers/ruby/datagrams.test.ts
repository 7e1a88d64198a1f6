import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Child } from "../../support/child.js";
import { datagramRules, openDatagrams, openEcho, placeOf } from "../../support/datagrams.js";
import { onEveryEngine } from "../../support/harness.js";

const PROGRAM = fileURLToPath(new URL("../../../../test/peers/ruby/datagrams.rb", import.meta.url));

onEveryEngine("datagrams with Ruby's EventMachine", (engine) => {
  datagramRules(engine, () => {
    engine.rule("an echo of ours answers it", async (trial) => {
      const echo = await openEcho(trial);
      await using ruby = new Child("ruby", [PROGRAM, "ask", String(placeOf(echo).port)]);
      const lines = [await ruby.line(), await ruby.line(), await ruby.line()];
      assert.deepEqual(lines, ["one", "two", "three"]);
    });

    engine.rule("its echo answers us, empty datagrams too", async (trial) => {
      await using ruby = new Child("ruby", [PROGRAM, "echo"]);
      const at = { host: "127.0.0.1", port: Number(await ruby.line()) };
      const socket = await openDatagrams(trial);
      for (const text of ["one", "", "three"]) socket.sendDatagram(text, at);
      await trial.until(() => socket.received.length === 3, "three answers");
      assert.deepEqual(socket.texts, ["one", "", "three"]);
    });
  });
});
