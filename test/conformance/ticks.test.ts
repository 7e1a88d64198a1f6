import assert from "node:assert/strict";
import { onEveryEngine } from "../support/harness.js";

onEveryEngine("ticks", (engine) => {
  engine.rule("nextTick is first in, first out, and never at once", async (trial) => {
    const ran: number[] = [];
    for (let count = 0; count < 100; count++) trial.reactor.nextTick(() => ran.push(count));
    assert.deepEqual(ran, []);
    await trial.until(() => ran.length === 100, "all run");
    assert.deepEqual(ran, [...ran.keys()]);
  });

  engine.rule("what a tick adds runs in the next turn", async (trial) => {
    const { reactor } = trial;
    const ran: string[] = [];
    reactor.nextTick(() => {
      ran.push("a");
      reactor.nextTick(() => ran.push("added by a"));
    });
    reactor.nextTick(() => ran.push("b"));
    // Between the turns Node has its own: a microtask of the first one comes before the second.
    reactor.nextTick(() => void Promise.resolve().then(() => ran.push("a microtask")));
    await trial.until(() => ran.length === 4, "all run");
    assert.deepEqual(ran, ["a", "b", "a microtask", "added by a"]);
  });

  engine.rule("ticks that go on for ever keep neither connections nor timers waiting", async (trial) => {
    const { reactor } = trial;
    let ticks = 0;
    let going = true;
    const again = () => {
      ticks++;
      if (going) reactor.nextTick(again);
    };
    reactor.nextTick(again);
    let timers = 0;
    reactor.addTimer(1, () => timers++);
    const { client, server } = await trial.pair();
    client.sendData("through");
    await trial.until(() => server.text === "through" && timers === 1, "both get through");
    going = false;
    assert.ok(ticks > 1);
  });

  engine.rule("Node's own immediates, timers and promises go on beside the reactor", async (trial) => {
    let going = true;
    const again = () => {
      if (going) trial.reactor.nextTick(again);
    };
    again();
    await new Promise<void>((resolve) => setImmediate(resolve));
    await new Promise<void>((resolve) => setTimeout(resolve, 1));
    await new Promise<void>((resolve) => process.nextTick(resolve));
    going = false;
  });

  engine.rule("a tick that throws hurts no other", async (trial) => {
    const oops = new Error("from a tick");
    const errors: unknown[] = [];
    trial.reactor.onError((error) => errors.push(error));
    let ran = 0;
    trial.reactor.nextTick(() => ran++);
    trial.reactor.nextTick(() => {
      throw oops;
    });
    trial.reactor.nextTick(() => Promise.reject(oops));
    trial.reactor.nextTick(() => ran++);
    await trial.until(() => ran === 2 && errors.length === 2, "all run");
    assert.deepEqual(errors, [oops, oops]);
  });

  engine.rule("schedule runs at once on a running reactor", async (trial) => {
    let ran = 0;
    trial.reactor.schedule(() => ran++);
    assert.equal(ran, 1);
  });

  engine.runRule("before run both are kept for its first turn, in order", async (trial) => {
    const { reactor } = trial;
    const ran: string[] = [];
    reactor.nextTick(() => ran.push("tick"));
    reactor.schedule(() => ran.push("scheduled"));
    assert.equal(ran.length, 0);
    await reactor.run(() => {
      ran.push("block");
      reactor.schedule(() => ran.push("scheduled inside"));
      reactor.nextTick(() => {
        ran.push("tick inside");
        reactor.stop();
      });
    });
    assert.deepEqual(ran, ["block", "scheduled inside", "tick", "scheduled", "tick inside"]);
  });

  engine.runRule("ticks that are left when a run ends are gone", async (trial) => {
    const { reactor } = trial;
    let ran = 0;
    const again = () => {
      ran++;
      reactor.nextTick(again);
    };
    await reactor.run(() => {
      again();
      reactor.stop();
    });
    const stood = ran;
    await reactor.run(() => {
      reactor.addTimer(5, () => reactor.stop());
    });
    assert.equal(ran, stood);
  });

  engine.rule("only functions are taken", async (trial) => {
    for (const wrong of [undefined, null, 7, "f", {}]) {
      assert.throws(() => trial.reactor.nextTick(wrong as () => void), { name: "ArgumentError" });
      assert.throws(() => trial.reactor.schedule(wrong as () => void), { name: "ArgumentError" });
    }
  });
});
