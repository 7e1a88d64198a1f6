import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as nextIteration } from "node:timers/promises";
import { UnsupportedError } from "../../../src/base/errors.js";
import { Ended } from "../../../src/engine/streams.js";
import { dial, drive, LISTEN, readAll, readText } from "./driver.js";

describe("portable listeners", () => {
  it("keeps newcomers waiting at maxConnections, unread, and admits them in order", () =>
    drive(async (driver) => {
      const { address } = await driver.listen({ maxConnections: 1, whenFull: "pause", backlog: 2 });
      const first = await dial(address);
      const one = await driver.nextAccepted();
      const second = await dial(address);
      second.write("second");
      const third = await dial(address);
      third.write("third");
      const fourth = await dial(address);
      // The queue holds two: one too many is closed.
      assert.equal((await readAll(fourth)).length, 0);
      assert.deepEqual(driver.accepts, [one]);
      driver.engine.close(one);
      const two = await driver.nextAccepted(2);
      await driver.text(two, "second");
      assert.equal(driver.accepts.length, 2);
      driver.engine.close(two);
      await driver.text(await driver.nextAccepted(3), "third");
      for (const peer of [first, second, third, fourth]) peer.destroy();
    }));

  it("closes newcomers at maxConnections where told to", () =>
    drive(async (driver) => {
      const { address } = await driver.listen({ maxConnections: 1, whenFull: "close" });
      const first = await dial(address);
      const one = await driver.nextAccepted();
      const second = await dial(address);
      assert.equal((await readAll(second)).length, 0);
      assert.deepEqual(driver.accepts, [one]);
      first.end();
      await driver.event("closed", one);
      const third = await dial(address);
      const two = await driver.nextAccepted(2);
      driver.engine.write(two, Buffer.from("welcome"));
      await readText(third, "welcome");
      for (const peer of [first, second, third]) peer.destroy();
    }));

  it("stops accepting on close and leaves its connections alone", () =>
    drive(async (driver) => {
      const { handle: listener, address } = await driver.listen();
      const peer = await dial(address);
      const handle = await driver.nextAccepted();
      driver.engine.close(listener);
      assert.equal((await driver.closing(listener)).ended, Ended.local);
      await assert.rejects(dial(address), { code: "ECONNREFUSED" });
      peer.write("still here");
      await driver.text(handle, "still here");
      peer.destroy();
    }));

  it("can be closed before it listens", () =>
    drive(async (driver) => {
      const handle = driver.engine.listen({ family: "IPv4", host: "127.0.0.1", port: 0 }, LISTEN);
      driver.engine.close(handle);
      assert.equal((await driver.closing(handle)).ended, Ended.local);
      for (let i = 0; i < 5; i++) await nextIteration();
      assert.equal(driver.log.includes(`listening ${handle}`), false);
    }));

  it("refuses what node:net cannot do", () =>
    drive(async (driver) => {
      const { engine } = driver;
      const address = { family: "IPv4", host: "127.0.0.1", port: 0 } as const;
      const refusals: [string, () => unknown][] = [
        ["bufferSizes", () => engine.listen(address, { ...LISTEN, receiveBufferSize: 4096 })],
        ["tcpUserTimeout", () => engine.listen(address, { ...LISTEN, tcpUserTimeout: 1000 })],
        ["keepAliveProbes", () => engine.setOptions(0, { keepAlive: { count: 3 } })],
        ["detach", () => engine.detach(0)],
        ["peerCredentials", () => engine.peerCredentials(0)],
        ["socketOptions", () => engine.getSocketOption(0, 1, 1, 4)],
        ["socketOptions", () => engine.setSocketOption(0, 1, 1, Buffer.alloc(4))],
      ];
      if (!engine.capabilities.has("reusePort")) {
        refusals.push(["reusePort", () => engine.listen(address, { ...LISTEN, reusePort: true })]);
      }
      for (const [capability, call] of refusals) {
        assert.equal(engine.capabilities.has(capability as never), false);
        assert.throws(call, (error: unknown) => error instanceof UnsupportedError && error.capability === capability);
      }
    }));
});
