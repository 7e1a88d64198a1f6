import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, test } from "node:test";
import { Ended } from "../../../src/engine/streams.js";
import type { TlsContextSettings, TlsFailure } from "../../../src/engine/tls.js";
import { pattern } from "../../support/bytes.js";
import { CONNECT, Driver, native, stopDrivers } from "./driver.js";
import {
  authority,
  certify,
  localhost,
  nodeClient,
  nodeServer,
  securePair,
  settings,
  startedPair,
  starting,
} from "./tls_peers.js";

afterEach(stopDrivers);

const stranger = certify("stranger", []);
const strangers = certify("localhost", ["localhost"], { issuer: stranger });
const other = certify("other.test", ["other.test", "*.wild.test", Buffer.of(127, 0, 0, 2)], { issuer: authority });
const expired = certify("localhost", ["localhost"], { issuer: authority, notAfter: "20200102000000Z" });
const customer = certify("customer", ["customer"], { issuer: authority });

/** Both ends fail; returns what each says of it. */
async function failures(driver: Driver, options: Parameters<typeof startedPair>[1]): Promise<[TlsFailure, TlsFailure]> {
  const { client, server, listener } = await startedPair(driver, options);
  const [ofClient, ofServer] = [await driver.closing(client), await driver.closing(server)];
  await driver.finish(listener);
  assert.equal(ofClient.ended, Ended.tls);
  assert.equal(ofServer.ended, Ended.tls);
  return [ofClient.failure as TlsFailure, ofServer.failure as TlsFailure];
}

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  const refused: [string, Partial<TlsContextSettings>, string | undefined, string, string][] = [
    [
      "an unknown authority",
      { identities: [strangers] },
      "localhost",
      "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
      "unknown_ca",
    ],
    ["another name", { identities: [other] }, "localhost", "HOSTNAME_MISMATCH", "bad_certificate"],
    ["another address", { identities: [localhost] }, "127.0.0.9", "IP_ADDRESS_MISMATCH", "bad_certificate"],
    ["an expired certificate", { identities: [expired] }, "localhost", "CERT_HAS_EXPIRED", "certificate_expired"],
  ];
  for (const [what, server, verifyName, error, alert] of refused) {
    test(`a client refuses ${what}, and both ends know why, ${version}`, async () => {
      const [client, peer] = await failures(new Driver(), {
        server: { ...server, maxVersion: version },
        clientStart: { verifyName },
      });
      assert.equal(client.code, "ERR_EM_TLS_VERIFY");
      assert.equal(client.verifyError, error);
      assert.deepEqual(client.alert, { name: alert, from: "local" });
      assert.equal(peer.code, "ERR_EM_TLS_HANDSHAKE");
      assert.deepEqual(peer.alert, { name: alert, from: "peer" });
    });
  }

  test(`a client told not to refuse is told what is wrong, ${version}`, async () => {
    const driver = new Driver();
    const { client, listener } = await securePair(driver, {
      server: { identities: [expired], maxVersion: version },
      client: { rejectUnauthorized: false },
    });
    assert.equal(driver.engine.tlsState(client)?.verifyError, "CERT_HAS_EXPIRED");
    await driver.finish(client, listener);
  });

  test(`a server that wants a certificate gets one, refuses none and refuses a stranger's, ${version}`, async () => {
    const server = { requestCertificate: true, requireCertificate: true, maxVersion: version };
    const driver = new Driver();
    const pair = await securePair(driver, { server, client: { identities: [customer] } });
    assert.equal(driver.engine.tlsState(pair.server)?.peerCertificates.length, 1);
    driver.engine.writeString(pair.client, "x", "utf8");
    await driver.gets(pair.server, 1);
    await driver.finish(pair.client, pair.listener);
    for (const [identities, code] of [
      [[], undefined],
      [[strangers], "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"],
    ] as const) {
      const [client, peer] = await failures(new Driver(), { server, client: { identities } });
      assert.equal(peer.code, "ERR_EM_TLS_VERIFY");
      assert.equal(peer.verifyError, code);
      assert.equal(peer.alert?.from, "local");
      assert.equal(client.alert?.from, "peer");
      assert.equal(client.code, version === "TLSv1.3" ? "ERR_EM_TLS_PROTOCOL" : "ERR_EM_TLS_HANDSHAKE");
    }
  });

  test(`a server that only asks takes a client without, and tells of a bad one, ${version}`, async () => {
    const server = { requestCertificate: true, rejectUnauthorized: false, maxVersion: version };
    for (const [identities, count, error] of [
      [[], 0, undefined],
      [[strangers], 1, "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"],
    ] as const) {
      const driver = new Driver();
      const pair = await securePair(driver, { server, client: { identities } });
      const state = driver.engine.tlsState(pair.server);
      assert.equal(state?.peerCertificates.length, count);
      assert.equal(state?.verifyError, error);
      await driver.finish(pair.client, pair.listener);
    }
  });

  for (const role of ["client", "server"] as const) {
    for (const accepted of [true, false]) {
      test(`the ${role} holds the handshake for a verdict and ${accepted ? "accepts" : "refuses"}, ${version}`, async () => {
        const driver = new Driver();
        const asks = { asksVerify: true };
        const pair = await startedPair(driver, {
          server: { requestCertificate: true, requireCertificate: true, maxVersion: version },
          client: { identities: [customer] },
          ...(role === "client" ? { clientStart: asks } : { serverStart: asks }),
        });
        const me = pair[role];
        const peer = role === "client" ? pair.server : pair.client;
        const { engine } = driver;
        engine.write(me, pattern(1000));
        await driver.until(() => driver.has("tlsVerify", me), "asked");
        await driver.settle();
        assert.equal(driver.has("secured", me), false);
        const state = engine.tlsState(me);
        assert.equal(state?.peerCertificates.length, 1);
        assert.equal(state?.protocol, version);
        assert.match(state?.cipher.name ?? "", /./);
        engine.answerVerify(me, accepted);
        if (accepted) {
          await driver.until(() => driver.has("secured", me) && driver.has("secured", peer), "both secured");
          assert.ok((await driver.gets(peer, 1000)).equals(pattern(1000)));
          engine.write(peer, pattern(1000));
          assert.ok((await driver.gets(me, 1000)).equals(pattern(1000)));
        } else {
          const closing = await driver.closing(me);
          assert.equal(closing.failure?.code, "ERR_EM_TLS_VERIFY");
          assert.equal(closing.failure?.verifyError, "CERT_REJECTED");
          const ofPeer = await driver.closing(peer);
          assert.equal(driver.bytes(peer).length, 0);
          if (role === "server" && version === "TLSv1.3") {
            assert.equal(ofPeer.ended, Ended.peer);
            assert.equal(ofPeer.truncated, true);
          } else {
            assert.equal(ofPeer.ended, Ended.tls);
            assert.deepEqual(ofPeer.failure?.alert, { name: "bad_certificate", from: "peer" });
          }
        }
        await driver.finish(pair.client, pair.listener);
      });
    }
  }

  test(`a name is answered with another context, the same, or a refusal, ${version}`, async () => {
    const driver = new Driver();
    const { engine } = driver;
    const context = engine.createTlsContext(settings({ identities: [localhost], maxVersion: version, alpn: ["x"] }));
    const named = engine.createTlsContext(settings({ identities: [other] }));
    const names: string[] = [];
    driver.react.accepted = (_listener, handle) => {
      engine.startTls(handle, starting("server", context, { asksServerName: true }));
    };
    driver.react.tlsServerName = (handle, name) => {
      names.push(name);
      const answer = name === "localhost" ? "same" : name === "gone.test" ? "refuse" : named;
      setTimeout(() => engine.answerServerName(handle, answer), 5);
    };
    const { address, listener } = await driver.listen();
    for (const [servername, subject] of [
      ["localhost", "localhost"],
      ["other.test", "other.test"],
      ["a.wild.test", "other.test"],
    ]) {
      const socket = nodeClient(address, { servername: servername as string, ALPNProtocols: ["x"] });
      await once(socket, "secureConnect");
      assert.equal(socket.getPeerCertificate().subject.CN, subject);
      assert.equal(socket.alpnProtocol, "x");
      assert.equal(socket.getProtocol(), version);
      socket.destroy();
    }
    const plain = nodeClient(address, { servername: "", checkServerIdentity: () => undefined });
    await once(plain, "secureConnect");
    plain.destroy();
    assert.deepEqual(names, ["localhost", "other.test", "a.wild.test"]);
    const gone = nodeClient(address, { servername: "gone.test" });
    const [error] = await once(gone, "error");
    assert.match(error.code, /UNRECOGNIZED_NAME/);
    const closing = await driver.closing(driver.accepts.at(-1) as number);
    assert.equal(closing.failure?.code, "ERR_EM_TLS_NO_CONTEXT");
    assert.deepEqual(closing.failure?.alert, { name: "unrecognized_name", from: "local" });
    await driver.finish(listener);
  });

  test(`no protocol in common ends the handshake, ${version}`, async () => {
    const [client, server] = await failures(new Driver(), {
      server: { alpn: ["one"], maxVersion: version },
      client: { alpn: ["two"] },
    });
    assert.deepEqual(client.alert, { name: "no_application_protocol", from: "peer" });
    assert.deepEqual(server.alert, { name: "no_application_protocol", from: "local" });
  });
}

test("no version in common ends the handshake", async () => {
  const [client, server] = await failures(new Driver(), {
    server: { maxVersion: "TLSv1.2" },
    client: { minVersion: "TLSv1.3" },
  });
  assert.deepEqual(client.alert, { name: "protocol_version", from: "peer" });
  assert.equal(server.code, "ERR_EM_TLS_HANDSHAKE");
});

test("garbage and other protocols end a server's handshake, and say what they were", async () => {
  const driver = new Driver();
  const { engine } = driver;
  const context = engine.createTlsContext(settings({ identities: [localhost] }));
  driver.react.accepted = (_listener, handle) => engine.startTls(handle, starting("server", context));
  const { address, listener } = await driver.listen();
  const said: string[] = [];
  for (const bytes of ["GET / HTTP/1.0\r\n\r\n", pattern(4096), Buffer.from([22, 3, 1, 0xff, 0xff, 1, 2, 3])]) {
    const socket = connect(address.port, address.host);
    socket.on("error", () => {});
    socket.write(bytes);
    const closed = once(socket, "close");
    socket.resume();
    await driver.until(() => driver.closings.length > said.length, "closed");
    const { ended, failure } = driver.closings.at(-1) ?? {};
    assert.equal(ended, Ended.tls);
    assert.equal(failure?.code, "ERR_EM_TLS_HANDSHAKE");
    said.push(failure?.reason ?? "");
    await closed;
  }
  assert.equal(said[0], "http request");
  await driver.finish(listener);
});

test("a peer that ends within the handshake fails it; one that stalls does nothing", async () => {
  const driver = new Driver();
  const { engine } = driver;
  const context = engine.createTlsContext(settings({ identities: [localhost] }));
  driver.react.accepted = (_listener, handle) => engine.startTls(handle, starting("server", context));
  const { address, listener } = await driver.listen();
  const stalls = connect(address.port, address.host);
  stalls.on("error", () => {});
  stalls.write(Buffer.from([22, 3, 1, 0, 200, 1]));
  await driver.until(() => driver.accepts.length === 1, "accepted");
  const ends = connect(address.port, address.host);
  ends.on("error", () => {});
  ends.end(Buffer.from([22, 3, 1]));
  await driver.until(() => driver.closings.length === 1, "closed");
  assert.equal(driver.closings[0]?.failure?.code, "ERR_EM_TLS_HANDSHAKE");
  assert.match(driver.closings[0]?.failure?.reason ?? "", /ended the connection/);
  assert.equal(driver.closings[0]?.handle, driver.accepts[1]);
  stalls.destroy();
  await driver.finish(listener);
});

test("a storm of handshakes leaves an open connection its turns", async () => {
  const driver = new Driver();
  const { engine } = driver;
  const pair = await securePair(driver);
  const context = engine.createTlsContext(settings({ identities: [localhost] }));
  const client = engine.createTlsContext(settings());
  driver.react.accepted = (_listener, handle) => engine.startTls(handle, starting("server", context));
  driver.react.connected = (handle) => engine.startTls(handle, starting("client", client));
  let echoes = 0;
  let securedBetween = 0;
  driver.react.secured = () => securedBetween++;
  const most: number[] = [];
  driver.react.data = (handle) => {
    if (handle === pair.server) {
      engine.writeString(pair.server, "x", "latin1");
      return;
    }
    echoes++;
    most.push(securedBetween);
    securedBetween = 0;
    engine.writeString(pair.client, "x", "latin1");
  };
  const { address, listener } = await driver.listen({ backlog: 512 });
  engine.writeString(pair.client, "x", "latin1");
  const handles = Array.from({ length: 100 }, () => engine.connect(address, CONNECT));
  await driver.until(() => handles.every((handle) => driver.has("secured", handle)), "all secured");
  assert.ok(Math.max(...most) < 60, `at most ${Math.max(...most)} between two echoes`);
  assert.ok(echoes > 3, `${echoes} echoes meanwhile`);
  await driver.finish(...handles, pair.client, listener, pair.listener);
});

test("contexts are refused with OpenSSL's words", () => {
  const driver = new Driver();
  const { engine } = driver;
  const bad: [Partial<TlsContextSettings>, RegExp][] = [
    [{ identities: [{ certificate: Buffer.from("x"), key: localhost.key }] }, /no start line/],
    [{ identities: [{ certificate: localhost.certificate, key: other.key }] }, /mismatch/],
    [{ identities: [{ certificate: localhost.certificate, key: Buffer.from("") }] }, /unsupported|no start line/],
    [{ ciphers: "NONSENSE" }, /no cipher match/],
    [{ cipherSuites: "NONSENSE" }, /no cipher match|unknown/i],
    [{ curves: "NONSENSE" }, /./],
    [{ dhParameters: Buffer.from("x") }, /./],
    [{ trust: { certificates: ["nonsense"], openSslDefaults: false, isNodeDefault: false } }, /no start line/],
  ];
  for (const [overrides, words] of bad) {
    assert.throws(() => engine.createTlsContext(settings(overrides)), { code: "ERR_EM_TLS_CONTEXT", reason: words });
  }
  const context = engine.createTlsContext(settings({ identities: [localhost] }));
  engine.releaseTlsContext(context);
  engine.releaseTlsContext(context);
  engine.stop();
});

test("contexts that are refused or released leave nothing, and their numbers mean no later one", () => {
  const { engine } = new Driver();
  const before = native().liveCounts().tlsContexts;
  const contexts = () => native().liveCounts().tlsContexts - before;
  const seen = new Set<number>();
  for (let count = 0; count < 50; count++) {
    const context = engine.createTlsContext(settings({ identities: [localhost] }));
    assert.throws(() => engine.createTlsContext(settings({ curves: "NONSENSE" })), { code: "ERR_EM_TLS_CONTEXT" });
    assert.equal(contexts(), 1);
    seen.add(context);
    engine.releaseTlsContext(context);
    assert.equal(contexts(), 0);
  }
  assert.equal(seen.size, 50);
  const kept = engine.createTlsContext(settings({ identities: [localhost] }));
  for (const old of seen) engine.releaseTlsContext(old);
  assert.equal(contexts(), 1);
  engine.setStaple(kept, Buffer.from("x"));
  engine.stop();
});

test("a context that is released serves those that have it", async () => {
  const driver = new Driver();
  const pair = await securePair(driver);
  for (let id = 0; id < 4; id++) driver.engine.releaseTlsContext(id);
  driver.engine.writeString(pair.client, "still", "utf8");
  assert.equal((await driver.gets(pair.server, 5)).toString(), "still");
  await driver.finish(pair.client, pair.listener);
});

test("a server of node:tls that wants a certificate refuses us with its alert, also after our handshake", async () => {
  const { server, at } = await nodeServer({ requestCert: true, ca: authority.certificate, rejectUnauthorized: true });
  const driver = new Driver();
  const { engine } = driver;
  const context = engine.createTlsContext(settings());
  const client = engine.connect(at, CONNECT);
  driver.react.connected = () => {
    engine.startTls(client, starting("client", context));
    engine.write(client, pattern(100));
  };
  const closing = await driver.closing(client);
  assert.equal(closing.ended, Ended.tls);
  assert.deepEqual(closing.failure?.alert, { name: "certificate_required", from: "peer" });
  assert.equal(closing.failure?.code, "ERR_EM_TLS_PROTOCOL");
  server.close();
  await driver.finish();
});

for (const gone of ["ends", "resets"] as const) {
  test(`a client that ${gone} while its server is being asked for a name is noticed`, async () => {
    const driver = new Driver();
    const { engine } = driver;
    const context = engine.createTlsContext(settings({ identities: [localhost] }));
    driver.react.accepted = (_listener, handle) => {
      engine.startTls(handle, starting("server", context, { asksServerName: true }));
    };
    const { address, listener } = await driver.listen();
    const raw = connect(address.port, address.host);
    raw.on("error", () => {});
    const { connect: secure } = await import("node:tls");
    const tls = secure({ socket: raw, servername: "localhost", ca: authority.certificate });
    tls.on("error", () => {});
    await driver.until(() => driver.log.some((entry) => entry.startsWith("tlsServerName")), "asked");
    await driver.settle();
    if (gone === "ends") raw.end();
    else raw.resetAndDestroy();
    const closing = await driver.closing(driver.accepts[0] as number);
    assert.equal(closing.ended, gone === "ends" ? Ended.tls : Ended.error);
    engine.answerServerName(closing.handle, "same");
    tls.destroy();
    await driver.finish(listener);
  });
}
