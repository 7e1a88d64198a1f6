import assert from "node:assert/strict";
import { ArgumentError, type SelectedContext, TlsError, type TlsOptions, UnsupportedError } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import { AUTHORITY, clientContext, identity, serverContext } from "../support/pki.js";
import type { Recorder } from "../support/recorder.js";
import type { Served, Trial } from "../support/trial.js";

const CLIENT = clientContext();
const OTHER = serverContext({}, "other");
const WILD = serverContext({}, "wild");

/** The subject of the certificate that a client is shown for a name. */
async function shown(trial: Trial, served: Served, serverName: string): Promise<string> {
  const client = trial.dial(served, {}, { tls: { context: CLIENT, serverName } });
  try {
    return (await client.secured).peerCertificate?.subject ?? "none";
  } finally {
    client.closeConnection();
  }
}

onEveryEngine("TLS, names and protocols", (engine) => {
  // Server names -------------------------------------------------------------------------------------------------

  engine.rule("contexts by name, exact and wildcard; the server's own for every other", async (trial) => {
    const context = serverContext({ contexts: { "other.test": OTHER, "*.wild.test": WILD, "b.wild.test": OTHER } });
    const served = await trial.serve({}, { tls: context });
    assert.equal(await shown(trial, served, "server.test"), "CN=server.test");
    assert.equal(await shown(trial, served, "other.test"), "CN=other.test");
    assert.equal(await shown(trial, served, "OTHER.test"), "CN=other.test");
    assert.equal(await shown(trial, served, "a.wild.test"), "CN=*.wild.test");
    const exact = trial.dial(
      served,
      {},
      { tls: { context: CLIENT, serverName: "b.wild.test", verifyName: "other.test" } },
    );
    assert.equal((await exact.secured).peerCertificate?.subject, "CN=other.test", "the exact name comes first");
    await served.peer(4);
    await trial.until(() => served.peers.every(({ handshakes }) => handshakes === 1), "each server knows it too");
    exact.closeConnection();
    for (const [index, name] of ["server.test", "other.test", "other.test", "a.wild.test", "b.wild.test"].entries()) {
      assert.equal(served.peers[index]?.sniHostname, name);
    }
    await trial.allUnbound();
  });

  engine.rule("a client that names nobody gets the server's own", async (trial) => {
    let asked = 0;
    const context = serverContext({
      contexts: { "other.test": OTHER },
      selectContext: () => {
        asked++;
        return undefined;
      },
    });
    const served = await trial.serve({}, { tls: context });
    const client = trial.dial(served, {}, { tls: CLIENT });
    assert.equal((await client.secured).peerCertificate?.subject, "CN=server.test");
    assert.equal(client.sniHostname, undefined, "an address is not sent");
    const silent = trial.dial(served, {}, { tls: { context: CLIENT, serverName: false, verifyName: "server.test" } });
    assert.equal((await silent.secured).serverName, undefined);
    assert.equal((await (await served.peer(1)).secured).serverName, undefined);
    assert.equal(asked, 0);
    client.closeConnection();
    silent.closeConnection();
  });

  engine.rule("options of a context will do for one", async (trial) => {
    const served = await trial.serve(
      {},
      { tls: { ...identity("server"), contexts: { "other.test": identity("other") } } },
    );
    assert.equal(await shown(trial, served, "other.test"), "CN=other.test");
  });

  engine.rule(
    "selectContext is asked for names that contexts does not have; its promise is waited for",
    async (trial) => {
      const asked: string[] = [];
      const context = serverContext({
        contexts: { "a.wild.test": WILD },
        selectContext: async (name) => {
          asked.push(name);
          await trial.sleep(20);
          return name === "other.test" ? OTHER : undefined;
        },
      });
      const served = await trial.serve({}, { tls: context });
      assert.equal(await shown(trial, served, "other.test"), "CN=other.test");
      assert.equal(await shown(trial, served, "server.test"), "CN=server.test");
      assert.equal(await shown(trial, served, "a.wild.test"), "CN=*.wild.test");
      assert.deepEqual(asked, ["other.test", "server.test"]);
    },
  );

  engine.rule("many lookups at a time do not get mixed up", async (trial) => {
    const context = serverContext({
      selectContext: async (name) => {
        await trial.sleep(name === "other.test" ? 15 : 1);
        return name === "other.test" ? OTHER : WILD;
      },
    });
    const served = await trial.serve({}, { tls: context });
    const names = Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? "other.test" : "a.wild.test"));
    const found = await Promise.all(names.map((name) => shown(trial, served, name)));
    assert.deepEqual(
      found,
      names.map((name) => (name === "other.test" ? "CN=other.test" : "CN=*.wild.test")),
    );
  });

  const refusing = (what: string, selectContext: TlsOptions["selectContext"], errors: number) => {
    engine.rule(`selectContext refuses the client by ${what}`, async (trial) => {
      const reported: unknown[] = [];
      trial.reactor.onError((error) => reported.push(error));
      const served = await trial.serve(
        {},
        { tls: serverContext(selectContext === undefined ? {} : { selectContext }) },
      );
      const client = trial.dial(served, {}, { tls: { context: CLIENT, serverName: "server.test" } });
      await trial.allUnbound();
      const server = await served.peer();
      assert.equal(reported.length, errors);
      assert.equal(server.handshakes + client.handshakes, 0);
      assert.equal(client.kind, errors > 0 && client.kind === "peer-reset" ? "peer-reset" : "tls-error");
      if (errors > 0) {
        assert.equal(server.kind, "handler-error");
        return;
      }
      assert.ok(server.reason?.kind === "tls-error");
      assert.equal(server.reason.error.code, "ERR_EM_TLS_NO_CONTEXT");
      if (!engine.has("tlsAlerts")) return;
      assert.ok(client.reason?.kind === "tls-error");
      assert.deepEqual(client.reason.error.alert, { name: "unrecognized_name", from: "peer" });
    });
  };

  refusing("null", () => null, 0);
  refusing("a promise of null", async () => null, 0);
  refusing(
    "throwing",
    () => {
      throw new Error("broken");
    },
    1,
  );
  refusing("returning what is no context", () => "server" as unknown as SelectedContext, 1);
  refusing("returning a context without a certificate", () => CLIENT, 1);
  const demanding = serverContext({ ca: AUTHORITY, requireCertificate: true });
  refusing("returning a context that demands more than the server's own", () => demanding, 1);

  engine.rule("a context by name demands no more of clients than the server's own", async () => {
    const named = (more: TlsOptions, own: TlsOptions) => () =>
      serverContext({ ca: AUTHORITY, ...own, contexts: { "other.test": serverContext({ ca: AUTHORITY, ...more }) } });
    const request = { requestCertificate: true };
    const require = { requireCertificate: true };
    const lax = { rejectUnauthorized: false };
    for (const [more, own, option] of [
      [request, {}, /requestCertificate/],
      [require, {}, /requestCertificate/],
      [require, request, /requireCertificate/],
      [request, { ...request, ...lax }, /rejectUnauthorized/],
    ] as const) {
      assert.throws(named(more, own), (error) => error instanceof ArgumentError && option.test(error.message));
    }
    for (const [more, own] of [
      [{}, require],
      [request, require],
      [lax, request],
      [
        { ...request, ...lax },
        { ...request, ...lax },
      ],
    ] as const) {
      named(more, own)();
    }
  });

  engine.rule("a lookup that answers when the connection is gone harms nobody", async (trial) => {
    let answer: (context: SelectedContext) => void = () => {};
    const context = serverContext({
      selectContext: () =>
        new Promise<SelectedContext>((resolve) => {
          answer = resolve;
        }),
    });
    const served = await trial.serve({}, { tls: context });
    const client = trial.dial(served, {}, { tls: { context: CLIENT, serverName: "server.test" } });
    await served.peer();
    await trial.settle();
    client.closeConnection();
    await trial.settle();
    answer(OTHER);
    await trial.allUnbound();
    answer(OTHER);
  });

  // Application protocols ----------------------------------------------------------------------------------------

  const agreed = async (trial: Trial, server: string[], client: string[]): Promise<[Recorder, Recorder]> => {
    const served = await trial.serve({}, { tls: serverContext({ alpn: server }) });
    const dialed = trial.dial(served, {}, { tls: clientContext({ alpn: client }) });
    return [dialed, await served.peer()];
  };

  engine.rule("ALPN: the server's order decides, and both sides know", async (trial) => {
    for (const [theirs, ours, expected] of [
      [["h2", "http/1.1"], ["http/1.1", "h2"], "h2"],
      [["http/1.1"], ["h2", "http/1.1"], "http/1.1"],
      [[], ["h2"], undefined],
      [["h2"], [], undefined],
    ] as const) {
      const [client, server] = await agreed(trial, [...theirs], [...ours]);
      await Promise.all([client.secured, server.secured]);
      assert.deepEqual([client.alpnProtocol, server.alpnProtocol], [expected, expected]);
      client.closeConnection();
      await trial.allUnbound();
    }
  });

  engine.rule("ALPN: with nothing in common there is no connection", async (trial) => {
    const [client, server] = await agreed(trial, ["h2"], ["imap", "pop3"]);
    await trial.allUnbound();
    assert.ok(client.reason?.kind === "tls-error" && server.reason?.kind === "tls-error");
    assert.equal(server.reason.error.code, "ERR_EM_TLS_HANDSHAKE");
    assert.deepEqual(client.reason.error.alert, { name: "no_application_protocol", from: "peer" });
  });

  engine.rule("ALPN stays the server's, whatever certificate a name has", async (trial) => {
    const context = serverContext({
      alpn: ["h2"],
      contexts: { "other.test": serverContext({ alpn: ["imap"] }, "other") },
    });
    const served = await trial.serve({}, { tls: context });
    const client = trial.dial(
      served,
      {},
      {
        tls: { context: clientContext({ alpn: ["imap", "h2"] }), serverName: "other.test" },
      },
    );
    const info = await client.secured;
    assert.deepEqual([info.peerCertificate?.subject, info.alpnProtocol], ["CN=other.test", "h2"]);
    client.closeConnection();
  });

  // Versions and suites ------------------------------------------------------------------------------------------

  engine.rule("both sides' versions decide; without one in common there is no connection", async (trial) => {
    for (const [server, client, expected] of [
      [{}, {}, "TLSv1.3"],
      [{ maxVersion: "TLSv1.2" }, {}, "TLSv1.2"],
      [{}, { maxVersion: "TLSv1.2" }, "TLSv1.2"],
      [{ minVersion: "TLSv1.3" }, { maxVersion: "TLSv1.2" }, undefined],
    ] as [TlsOptions, TlsOptions, string | undefined][]) {
      const served = await trial.serve({}, { tls: serverContext(server) });
      const dialed = trial.dial(served, {}, { tls: clientContext(client) });
      const info = await dialed.secured.catch((error: unknown) => error);
      if (expected === undefined) {
        assert.ok(info instanceof TlsError);
        assert.equal(info.code, "ERR_EM_TLS_HANDSHAKE");
        assert.deepEqual(info.alert, { name: "protocol_version", from: "peer" });
      } else assert.equal(dialed.protocol, expected);
      dialed.closeConnection();
      await trial.allUnbound();
    }
  });

  engine.rule("suites and groups can be chosen, of both kinds", async (trial) => {
    for (const [options, suite] of [
      [{ maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES256-GCM-SHA384" }, "ECDHE-ECDSA-AES256-GCM-SHA384"],
      [{ cipherSuites: "TLS_CHACHA20_POLY1305_SHA256" }, "TLS_CHACHA20_POLY1305_SHA256"],
      [{ curves: "P-256" }, undefined],
    ] as [TlsOptions, string | undefined][]) {
      const served = await trial.serve({}, { tls: serverContext(options) });
      const client = trial.dial(served, {}, { tls: CLIENT });
      const info = await client.secured;
      if (suite !== undefined) assert.equal(info.cipher.name, suite);
      assert.ok(info.cipher.bits === undefined || info.cipher.bits >= 128);
      client.closeConnection();
      await trial.allUnbound();
    }
    const served = await trial.serve({}, { tls: serverContext({ curves: "P-256" }) });
    const client = trial.dial(served, {}, { tls: clientContext({ curves: "X25519" }) });
    await assert.rejects(client.secured, { code: "ERR_EM_TLS_HANDSHAKE" });
    await trial.allUnbound();
  });

  engine.rule("an RSA and an ECDSA certificate in one context: the client's suites decide", async (trial) => {
    const context = serverContext({ identities: [identity("server-rsa")] });
    const served = await trial.serve({}, { tls: context });
    for (const [ciphers, type] of [
      ["ECDHE-RSA-AES128-GCM-SHA256", "rsa"],
      ["ECDHE-ECDSA-AES128-GCM-SHA256", "ec"],
    ] as const) {
      const client = trial.dial(served, {}, { tls: clientContext({ ciphers, maxVersion: "TLSv1.2" }) });
      const info = await client.secured;
      assert.equal(info.peerCertificate?.publicKey.asymmetricKeyType, type);
      client.closeConnection();
      await trial.allUnbound(client);
    }
  });

  engine.rule("DHE with parameters of one's own, or OpenSSL's", async (trial) => {
    const { pkiPath } = await import("../support/pki.js");
    for (const dhParameters of ["auto", pkiPath("dh.pem")]) {
      const served = await trial.serve({}, { tls: serverContext({ dhParameters }, "server-rsa") });
      const client = trial.dial(
        served,
        {},
        {
          tls: clientContext({ ciphers: "DHE-RSA-AES128-GCM-SHA256", maxVersion: "TLSv1.2" }),
        },
      );
      assert.equal((await client.secured).cipher.name, "DHE-RSA-AES128-GCM-SHA256");
      client.closeConnection();
      await trial.allUnbound();
    }
  });

  // Changing certificates ----------------------------------------------------------------------------------------

  engine.rule("setTlsContext changes the certificate for newcomers, and drops nobody", async (trial) => {
    const served = await trial.serve({ receiveData: (me, data) => me.sendData(data) }, { tls: serverContext() });
    const old = trial.dial(served, {}, { tls: CLIENT });
    assert.equal((await old.secured).peerCertificate?.subject, "CN=server.test");
    served.listener.setTlsContext(serverContext({}, "next"));
    const young = trial.dial(served, {}, { tls: clientContext() });
    assert.equal((await young.secured).peerCertificate?.subject, "CN=next.test");
    old.sendData("still here");
    await trial.until(() => old.text === "still here", "the echo");
    served.listener.setTlsContext(identity("server"));
    assert.equal(await shown(trial, served, "server.test"), "CN=server.test");
    old.closeConnection();
    young.closeConnection();
  });

  engine.rule("what it cannot serve with leaves the old one in place", async (trial) => {
    const served = await trial.serve({}, { tls: serverContext() });
    assert.throws(() => served.listener.setTlsContext(CLIENT), { name: "TlsError", code: "ERR_EM_TLS_NO_CERTIFICATE" });
    assert.throws(() => served.listener.setTlsContext({ cert: "/nowhere", key: "/nowhere" }), {
      code: "ERR_EM_TLS_FILE",
    });
    assert.throws(() => served.listener.setTlsContext(7 as never), ArgumentError);
    assert.equal(await shown(trial, served, "server.test"), "CN=server.test");
    const plain = await trial.serve();
    assert.throws(() => plain.listener.setTlsContext(serverContext()), { code: "ERR_EM_TLS_NOT_SERVED" });
    await served.listener.close();
    served.listener.setTlsContext(serverContext({}, "next"));
  });

  engine.rule("several ticket keys need the capability", async (trial) => {
    const keys = [Buffer.alloc(48, 1), Buffer.alloc(48, 2)];
    const context = serverContext();
    const served = await trial.serve({}, { tls: context });
    if (engine.has("ticketKeySets")) context.setTicketKeys(keys);
    else {
      assert.throws(() => context.setTicketKeys(keys), UnsupportedError);
      await assert.rejects(trial.serve({}, { tls: serverContext({ ticketKeys: keys }) }), UnsupportedError);
    }
    assert.equal(await shown(trial, served, "server.test"), "CN=server.test");
  });
});
