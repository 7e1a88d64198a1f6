import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { Connection } from "eventmachine";
import { pattern } from "../../support/bytes.js";
import { onEveryEngine } from "../../support/harness.js";

// No rule of the conformance suite, for that runs on a sanitized build too, where the lent memory is poisoned as soon as it is
// lent no more, and reading it is the error it is meant to find.
onEveryEngine("lent bytes", (engine) => {
  engine.rule("a borrowed view that is sent on too late gives no bytes to rely on, and none too few", async (trial) => {
    class Late extends Connection {
      static override readonly borrowsData = true;
      override receiveData(data: Buffer): void {
        this.pause();
        trial.reactor.addTimer(5, () => this.sendData(data));
      }
    }
    const listener = await trial.reactor.startServer({ host: "127.0.0.1", port: 0 }, Late);
    const client = trial.dial({ host: "127.0.0.1", port: listener.port as number });
    client.sendData(pattern(16_384));
    await trial.until(() => client.bytes >= 4097, "what was lent once");
    client.closeConnection();
  });
});

test("with EVENTMACHINE_DEBUG=1 a view is memory of its own", () => {
  const url = new URL("../../../src/engine/native/lent_bytes.js", import.meta.url).href;
  const script = `
    const { LentBytes } = await import(${JSON.stringify(url)});
    const lent = new LentBytes();
    lent.use(new Uint8Array(1024).fill(7).buffer);
    const view = lent.view(16, 26);
    console.log(JSON.stringify([view.buffer.byteLength, view.byteOffset, [...view], lent.lastView === undefined]));
  `;
  const run = (debug: string) =>
    JSON.parse(
      execFileSync(process.execPath, ["--input-type=module", "-e", script], {
        encoding: "utf8",
        env: { ...process.env, EVENTMACHINE_DEBUG: debug },
      }),
    );
  const bytes = new Array<number>(10).fill(7);
  assert.deepEqual(run("1"), [10, 0, bytes, true]);
  assert.deepEqual(run("0"), [1024, 16, bytes, false]);
});
