import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, test } from "node:test";
import { pattern } from "../../support/bytes.js";
import { needs } from "../../support/programs.js";
import { CONNECT, Driver, stopDrivers } from "./driver.js";
import { authority, localhost, nodeClient, securePair, settings, starting } from "./tls_peers.js";

afterEach(stopDrivers);

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  test(`records of one byte arrive as few events, ${version}`, async () => {
    const driver = new Driver();
    const { engine } = driver;
    const context = engine.createTlsContext(settings({ identities: [localhost], maxVersion: version }));
    driver.react.accepted = (_listener, handle) => engine.startTls(handle, starting("server", context));
    const { address, listener } = await driver.listen();
    const socket = nodeClient(address);
    await once(socket, "secureConnect");
    socket.setNoDelay(true);
    const server = driver.accepts[0] as number;
    await driver.event("secured", server);
    const sent = pattern(500);
    engine.pause(server);
    // Each on its own, or node:tls makes one record of those that wait.
    for (const byte of sent) await new Promise((resolve) => socket.write(Buffer.of(byte), resolve));
    engine.resume(server);
    assert.ok((await driver.gets(server, sent.length)).equals(sent));
    const events = driver.log.filter((entry) => entry === `data ${server}`).length;
    assert.ok(events <= 10, `${events} events`);
    socket.destroy();
    await driver.finish(listener);
  });

  test(`a million bytes in random pieces, both ways at once, ${version}`, async () => {
    const driver = new Driver();
    const { client, server, listener } = await securePair(driver, { server: { maxVersion: version } });
    const { engine } = driver;
    const sent = [0, 0];
    let piece = 1;
    while (Math.min(...sent) < 1_000_000) {
      for (const [at, handle] of [client, server].entries()) {
        piece = (piece * 7) % 60_013;
        const size = Math.min(piece % 3 === 0 ? piece : piece % 200, 1_000_000 - (sent[at] as number));
        engine.write(handle, pattern(size, sent[at]));
        sent[at] = (sent[at] as number) + size;
      }
      if (piece % 5 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok((await driver.gets(server, 1_000_000)).equals(pattern(1_000_000)));
    assert.ok((await driver.gets(client, 1_000_000)).equals(pattern(1_000_000)));
    assert.equal(engine.totalOutbound(), 0);
    assert.equal(engine.counters().bytesOut, 2_000_000);
    assert.equal(engine.counters().bytesIn, 2_000_000);
    await driver.finish(client, listener);
  });

  test(`the writes of a turn are one record and one system call, ${version}`, async () => {
    const driver = new Driver();
    const { client, server, listener } = await securePair(driver, { server: { maxVersion: version } });
    const { engine } = driver;
    await driver.settle();
    const before = engine.counters().systemCalls;
    for (let i = 0; i < 50; i++) {
      engine.write(client, pattern(100, i * 100));
      engine.write(server, pattern(10, i * 10)); // the handles alternate
    }
    engine.flush();
    assert.equal(engine.counters().systemCalls - before, 2);
    assert.ok((await driver.gets(server, 5_000)).equals(pattern(5_000)));
    assert.equal(driver.log.filter((entry) => entry === `data ${server}`).length, 1);
    await driver.finish(client, listener);
  });

  test(`openssl s_client and s_server, ${version}`, async () => {
    const driver = new Driver();
    const { engine } = driver;
    const context = engine.createTlsContext(settings({ identities: [localhost] }));
    driver.react.accepted = (_listener, handle) => engine.startTls(handle, starting("server", context));
    driver.react.data = (handle, chunk, start, end) => {
      engine.write(handle, chunk.subarray(start, end));
    };
    const { address, listener } = await driver.listen();
    const only = version === "TLSv1.2" ? "-tls1_2" : "-tls1_3";
    const verify = ["-CAfile", authority.certificateFile, "-verify_return_error", "-verify_hostname", "localhost"];
    const client = spawn(needs("openssl"), [
      ...[
        "s_client",
        "-connect",
        `127.0.0.1:${address.port}`,
        "-servername",
        "localhost",
        "-quiet",
        "-no_ign_eof",
        only,
      ],
      ...verify,
    ]);
    client.stdin.write("hello s_client\n");
    const [line] = await once(client.stdout, "data");
    assert.equal(String(line), "hello s_client\n");
    client.stdin.end();
    await once(client, "exit");
    assert.equal((await driver.closing(driver.accepts[0] as number)).truncated, false);

    const files = ["-cert", localhost.certificateFile, "-key", localhost.keyFile];
    const serving = spawn(needs("openssl"), ["s_server", "-accept", "127.0.0.1:0", "-rev", only, ...files]);
    let said = "";
    while (!/ACCEPT .*:\d+/.test(said)) said += String((await once(serving.stdout, "data"))[0]);
    const port = Number(/ACCEPT .*:(\d+)/.exec(said)?.[1]);
    driver.react.data = () => {};
    const dialled = engine.connect({ family: "IPv4", host: "127.0.0.1", port }, CONNECT);
    const ours = engine.createTlsContext(settings());
    driver.react.connected = () => engine.startTls(dialled, starting("client", ours));
    await driver.until(() => driver.has("secured", dialled), "secured");
    engine.writeString(dialled, "reverse\n", "latin1");
    assert.equal((await driver.gets(dialled, 8)).toString(), "esrever\n");
    assert.equal(engine.tlsState(dialled)?.protocol, version);
    engine.finish(dialled);
    await driver.closing(dialled);
    serving.kill();
    await driver.finish(listener);
  });
}
