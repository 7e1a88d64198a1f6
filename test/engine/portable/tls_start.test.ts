import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextIteration } from "node:timers/promises";
import { Ended } from "../../../src/engine/streams.js";
import { localhost, settings, starting } from "../native/tls_peers.js";
import { drive } from "./driver.js";

test("output in clear that a start of TLS does not get to send is counted until closed, and no longer", () =>
  drive(async (driver) => {
    const { engine } = driver;
    const { handle, peer } = await driver.pair();
    const context = engine.createTlsContext(settings({ identities: [localhost] }));
    engine.pause(handle);
    peer.write("too early");
    for (let round = 0; round < 10_000 && engine.undelivered(handle) === 0; round++) await nextIteration();
    engine.write(handle, Buffer.from("in clear"));
    engine.startTls(handle, starting("server", context));
    assert.equal(engine.outboundSize(handle), 8);
    const closing = await driver.closing(handle);
    assert.deepEqual([closing.ended, closing.unsent], [Ended.tls, 8]);
    assert.equal(engine.totalOutbound(), 0);
    peer.destroy();
  }));
