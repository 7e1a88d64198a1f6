import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, test } from "node:test";
import { connect as secure } from "node:tls";
import { Ended, type Handle } from "../../../src/engine/streams.js";
import { pattern } from "../../support/bytes.js";
import { CONNECT, Driver, NOTHING_HELD, native, stopDrivers } from "./driver.js";
import {
  authority,
  localhost,
  nodeClient,
  nodeServer,
  securePair,
  settings,
  startedPair,
  starting,
} from "./tls_peers.js";

afterEach(stopDrivers);

/** A server on the engine that has got one byte from a node:tls client, whose socket the test can spoil. */
async function metByNode(driver: Driver, maxVersion: "TLSv1.2" | "TLSv1.3") {
  const { engine } = driver;
  const context = engine.createTlsContext(settings({ identities: [localhost], maxVersion }));
  driver.react.accepted = (_listener, handle) => engine.startTls(handle, starting("server", context));
  const { address, listener } = await driver.listen();
  const raw = connect(address.port, address.host);
  const tls = secure({ socket: raw, servername: "localhost", ca: authority.certificate });
  await once(tls, "secureConnect");
  tls.write("x");
  await driver.until(() => driver.accepts.length === 1, "accepted");
  const server = driver.accepts[0] as Handle;
  await driver.gets(server, 1);
  return { listener, server, raw, tls };
}

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  const server = { maxVersion: version };

  test(`half-closes go both ways, ${version}`, async () => {
    const driver = new Driver();
    const pair = await securePair(driver, { server, halfOpen: true });
    const { engine } = driver;
    engine.write(pair.client, pattern(100_000));
    engine.shutdown(pair.client);
    await driver.until(() => driver.has("end", pair.server), "the client's end");
    assert.ok(driver.bytes(pair.server).equals(pattern(100_000)));
    engine.write(pair.server, pattern(300_000));
    assert.ok((await driver.gets(pair.client, 300_000)).equals(pattern(300_000)));
    engine.shutdown(pair.server);
    for (const handle of [pair.client, pair.server]) {
      const closing = await driver.closing(handle);
      assert.equal(closing.ended, Ended.local);
      assert.equal(closing.truncated, false);
      assert.equal(closing.unsent, 0);
    }
    await driver.finish(pair.listener);
  });

  test(`finish sends all, discards what comes, and ends in order, ${version}`, async () => {
    const driver = new Driver();
    const pair = await securePair(driver, { server });
    const { engine } = driver;
    engine.write(pair.client, pattern(3_000_000));
    engine.write(pair.server, pattern(3_000_000));
    engine.finish(pair.server);
    assert.ok((await driver.gets(pair.client, 3_000_000)).equals(pattern(3_000_000)));
    const closing = await driver.closing(pair.server);
    assert.equal(closing.ended, Ended.local);
    assert.equal(closing.unsent, 0);
    assert.equal((await driver.closing(pair.client)).truncated, false);
    await driver.finish(pair.listener);
  });

  test(`what was written before the handshake is sent by a finish, ${version}`, async () => {
    const driver = new Driver();
    const pair = await startedPair(driver, { server });
    const { engine } = driver;
    engine.write(pair.client, pattern(200_000));
    engine.finish(pair.client);
    assert.ok((await driver.gets(pair.server, 200_000)).equals(pattern(200_000)));
    assert.equal((await driver.closing(pair.client)).ended, Ended.local);
    assert.equal((await driver.closing(pair.server)).truncated, false);
    assert.equal(driver.has("secured", pair.client), false, "only closed follows a finish");
    await driver.finish(pair.listener);
  });

  test(`a stream that is cut off is told apart from one that ended, ${version}`, async () => {
    const driver = new Driver();
    const { listener, server, raw, tls } = await metByNode(driver, version);
    raw.end();
    const closing = await driver.closing(server);
    assert.equal(closing.ended, Ended.peer);
    assert.equal(closing.truncated, true);
    tls.destroy();
    await driver.finish(listener);
  });

  test(`close says goodbye when all is sent and is silent when something is dropped; abort resets, ${version}`, async () => {
    const driver = new Driver();
    const { engine } = driver;
    const tidy = await securePair(driver, { server });
    engine.close(tidy.client);
    assert.equal((await driver.closing(tidy.server)).truncated, false);
    const torn = await securePair(driver, { server });
    engine.pause(torn.server);
    engine.write(torn.client, pattern(20_000_000));
    await driver.settle();
    engine.close(torn.client);
    assert.ok((await driver.closing(torn.client)).unsent > 0);
    engine.resume(torn.server);
    const cut = await driver.closing(torn.server);
    assert.equal(cut.ended, Ended.peer);
    assert.equal(cut.truncated, true);
    const aborted = await securePair(driver, { server });
    engine.abort(aborted.client);
    assert.equal((await driver.closing(aborted.server)).ended, Ended.error);
    await driver.finish(tidy.listener, torn.listener, aborted.listener);
  });

  test(`a broken record ends the connection, and the peer hears why, ${version}`, async () => {
    const driver = new Driver();
    const { listener, server, raw, tls } = await metByNode(driver, version);
    raw.write(Buffer.concat([Buffer.from([23, 3, 3, 0, 100]), pattern(100)]));
    const [error] = await once(tls, "error");
    assert.match(error.code, /ALERT_BAD_RECORD_MAC/);
    const closing = await driver.closing(server);
    assert.equal(closing.ended, Ended.tls);
    assert.equal(closing.failure?.code, "ERR_EM_TLS_PROTOCOL");
    assert.deepEqual(closing.failure?.alert, { name: "bad_record_mac", from: "local" });
    assert.equal(driver.bytes(closing.handle).length, 1);
    await driver.finish(listener);
  });

  test(`while paused neither data nor the end come, in any order with resumes, ${version}`, async () => {
    const driver = new Driver();
    const pair = await securePair(driver, { server });
    const { engine } = driver;
    engine.pause(pair.server);
    engine.write(pair.client, pattern(1_000_000));
    engine.shutdown(pair.client);
    await driver.settle();
    assert.equal(driver.bytes(pair.server).length, 0);
    let pauses = 0;
    driver.react.data = (handle) => {
      if (handle !== pair.server) return;
      engine.pause(handle);
      if (pauses++ % 3 === 0) engine.resume(handle);
      else setTimeout(() => engine.resume(handle), pauses % 5);
    };
    engine.resume(pair.server);
    assert.equal((await driver.closing(pair.server)).truncated, false);
    assert.ok(driver.bytes(pair.server).equals(pattern(1_000_000)));
    await driver.closing(pair.client);
    await driver.finish(pair.listener);
  });

  test(`a connection paused from the start is secured and delivers when resumed, ${version}`, async () => {
    const driver = new Driver();
    const { engine } = driver;
    const { server: peer, at, sockets } = await nodeServer({ maxVersion: version });
    const context = engine.createTlsContext(settings());
    const client = engine.connect(at, CONNECT);
    driver.react.connected = () => {
      engine.pause(client);
      engine.startTls(client, starting("client", context));
    };
    // Within the event itself Node would send no close_notify under TLS 1.3.
    peer.on("secureConnection", (socket) => setImmediate(() => socket.end("hello")));
    await driver.until(() => driver.has("secured", client), "secured");
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(driver.has("data", client), false);
    assert.equal(driver.has("closed", client), false);
    engine.resume(client);
    assert.equal((await driver.gets(client, 5)).toString(), "hello");
    assert.equal((await driver.closing(client)).truncated, false);
    assert.equal(sockets.length, 1);
    peer.close();
    await driver.finish();
  });

  test(`a peer's end waits for what is still to be sent, ${version}`, async () => {
    const driver = new Driver();
    const { engine } = driver;
    const context = engine.createTlsContext(settings({ identities: [localhost], maxVersion: version }));
    driver.react.accepted = (_listener, handle) => engine.startTls(handle, starting("server", context));
    driver.react.data = (handle) => engine.write(handle, pattern(5_000_000));
    const { address, listener } = await driver.listen();
    const socket = nodeClient(address);
    await once(socket, "secureConnect");
    socket.end("go");
    let size = 0;
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      assert.ok(chunk.equals(pattern(chunk.length, size)));
      size += chunk.length;
    }
    assert.equal(size, 5_000_000);
    const closing = await driver.closing(driver.accepts[0] as number);
    assert.equal(closing.ended, Ended.peer);
    assert.equal(closing.unsent, 0);
    assert.equal(engine.counters().bytesOut, 5_000_000);
    assert.equal(engine.totalOutbound(), 0);
    await driver.finish(listener);
  });

  test(`a peer that does not read holds a bounded part of what is sent in records, ${version}`, async () => {
    const driver = new Driver();
    const pair = await securePair(driver, { server });
    const { engine } = driver;
    engine.pause(pair.server);
    let written = 0;
    for (let i = 0; i < 200; i++) {
      engine.write(pair.client, pattern(100_000, written));
      written += 100_000;
      await new Promise((resolve) => setImmediate(resolve));
    }
    const unsent = engine.outboundSize(pair.client);
    assert.ok(unsent > 5_000_000, `${unsent}`);
    assert.equal(engine.totalOutbound(), unsent);
    engine.awaitWritable(pair.client);
    await driver.settle();
    assert.equal(driver.has("writable", pair.client), false);
    engine.resume(pair.server);
    assert.ok((await driver.gets(pair.server, written)).equals(pattern(written)));
    await driver.until(() => driver.has("writable", pair.client), "writable");
    assert.equal(engine.outboundSize(pair.client), 0);
    assert.equal(engine.totalOutbound(), 0);
    await driver.finish(pair.client, pair.listener);
  });
}

test("closed in every state of the handshake, nothing stays", async () => {
  const driver = new Driver();
  const { engine } = driver;
  for (const end of ["close", "abort", "finish"] as const) {
    for (let turns = 0; turns < 6; turns++) {
      const pair = await startedPair(driver, {
        server: { requestCertificate: true },
        client: { identities: [localhost] },
        serverStart: { asksServerName: true, asksVerify: true },
        clientStart: { asksVerify: true },
      });
      driver.react.tlsServerName = (handle) => engine.answerServerName(handle, "same");
      driver.react.tlsVerify = (handle) => engine.answerVerify(handle, true);
      for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
      engine[end](turns % 2 === 0 ? pair.client : pair.server);
      await driver.closing(pair.client);
      await driver.closing(pair.server);
      engine.close(pair.listener);
      await driver.closing(pair.listener);
    }
  }
  await driver.finish();
  await driver.settle();
  const { regions: _, ...counts } = native().liveCounts();
  assert.deepEqual(counts, NOTHING_HELD);
});

test("a stop in the middle of everything leaves nothing", async () => {
  const driver = new Driver();
  for (let i = 0; i < 10; i++) {
    const pair = i % 2 === 0 ? await securePair(driver) : await startedPair(driver);
    driver.engine.pause(pair.server);
    driver.engine.write(pair.client, pattern(3_000_000));
    driver.engine.write(pair.server, pattern(3_000_000));
  }
  driver.engine.stop();
  await driver.settle();
  const { regions: _, ...counts } = native().liveCounts();
  assert.deepEqual(counts, NOTHING_HELD);
});
