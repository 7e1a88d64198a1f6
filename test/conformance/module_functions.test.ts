import assert from "node:assert/strict";
import {
  Connection,
  reactor as currentReactor,
  drain,
  isRunning,
  type Reactor,
  run,
  startServer,
  stop,
} from "eventmachine";
import { onEveryEngine } from "../support/harness.js";

onEveryEngine("module functions", (engine) => {
  engine.rule("module functions act on the reactor whose callback is running", async (trial) => {
    const { reactor } = trial;
    const seen: Reactor[] = [];
    const note = () => void seen.push(currentReactor());
    reactor.nextTick(note);
    reactor.addTimer(1, note);
    reactor.schedule(note);
    const { client, server } = await trial.pair({
      client: { postInit: note, connectionCompleted: note, unbind: note },
      server: { postInit: note, receiveData: note },
    });
    client.sendData("x");
    await trial.until(() => server.bytes === 1, "a byte");
    client.closeConnection();
    await trial.allUnbound();
    await trial.sleep(2);
    assert.equal(seen.length, 8);
    assert.ok(seen.every((each) => each === reactor));
  });

  engine.runRule("outside of callbacks they act on one default reactor", async (trial) => {
    const standard = currentReactor();
    assert.notEqual(standard, trial.reactor);
    assert.equal(currentReactor(), standard);
    assert.equal(isRunning(), false);
    await assert.rejects(startServer({ host: "127.0.0.1", port: 0 }, Connection), { code: "ERR_EM_NOT_RUNNING" });
    await run(async () => {
      assert.equal(isRunning(), true);
      const listener = await startServer({ host: "127.0.0.1", port: 0 }, Connection);
      assert.ok(listener.isListening);
      assert.deepEqual(await drain(), { finished: 0, aborted: 0 });
      stop();
    });
    assert.equal(isRunning(), false);
  });
});
