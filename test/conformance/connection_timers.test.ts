import assert from "node:assert/strict";
import { type ConnectAddress, Connection, type StateError } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";

onEveryEngine("a connection's timers", (engine) => {
  engine.ruleOnStreams("they fire as the connection's own callbacks", async (trial) => {
    const failure = new Error("the timer failed");
    const { client, server } = await trial.pair({ server: { onError: () => true } });
    const from = trial.now();
    const firedAt = await new Promise<number>((resolve) => {
      server.addTimer(20, () => {
        server.sendData("late");
        resolve(trial.now());
      });
    });
    assert.ok(firedAt - from >= 20, `it fired after ${firedAt - from} of 20 ms`);
    await trial.until(() => client.text === "late", "what it sent arrives");
    server.addTimer(0, () => {
      throw failure;
    });
    server.addTimer(0, async () => {
      throw failure;
    });
    await trial.until(() => server.errors.length === 2, "both errors are the connection's");
    assert.deepEqual(server.errors, [failure, failure]);
    client.closeConnection();
  });

  engine.rule("they end with the connection, before unbind", async (trial) => {
    let fired = 0;
    const before = trial.reactor.timerCount;
    const { client, server } = await trial.pair({
      server: { unbind: () => assert.equal(trial.reactor.timerCount, before) },
    });
    for (let i = 0; i < 50; i++) server.addTimer(30, () => fired++);
    assert.equal(trial.reactor.timerCount, before + 50);
    client.closeConnection();
    await trial.allUnbound();
    await trial.sleep(60);
    assert.equal(fired, 0);
    assert.deepEqual(server.errors, []);
  });

  engine.rule("a new life begins without any", async (trial) => {
    const served = await trial.serve();
    let fired = 0;
    const client = trial.dial(served, { postInit: (me) => me.addTimer(40, () => fired++) });
    await client.opened;
    client.closeConnection();
    await trial.allUnbound(client);
    client.reconnect(served.at as ConnectAddress);
    const timer = client.addTimer(20, () => fired++);
    assert.ok(timer.active);
    await trial.until(() => fired > 0, "the new life's fires");
    await trial.sleep(60);
    assert.equal(fired, 1);
    client.closeConnection();
  });

  engine.rule("one that was cancelled, or has fired, is forgotten", async (trial) => {
    const { client, server } = await trial.pair();
    const before = trial.reactor.timerCount;
    const timer = server.addTimer(10_000, () => assert.fail("it was cancelled"));
    timer.cancel();
    timer.cancel();
    assert.equal(timer.active, false);
    assert.equal(trial.reactor.timerCount, before);
    client.closeConnection();
  });

  engine.rule("after the end there is none to be had", async (trial) => {
    const codes: string[] = [];
    const { client, server } = await trial.pair({
      server: {
        unbind: (me) => {
          try {
            me.addTimer(1, () => {});
          } catch (error) {
            codes.push((error as StateError).code);
          }
        },
      },
    });
    client.closeConnection();
    await trial.allUnbound();
    assert.deepEqual(codes, ["ERR_EM_CLOSED"]);
    assert.throws(() => server.addTimer(-1, () => {}), { name: "ArgumentError" });
    assert.throws(() => server.addTimer(1, undefined as never), { name: "ArgumentError" });
    class Early extends Connection {
      constructor() {
        super();
        this.addTimer(1, () => {});
      }
    }
    const wrong = { code: "ERR_EM_NOT_ATTACHED" };
    assert.throws(() => trial.reactor.connect({ host: "127.0.0.1", port: 1 }, Early), wrong);
  });
});
