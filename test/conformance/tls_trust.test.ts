import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { Connection, type TlsContext, type TlsStartOptions } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import { AUTHORITY, clientContext, identity, pkiFile, pkiPath, serverContext } from "../support/pki.js";
import type { Recorder, Script } from "../support/recorder.js";
import { tlsError } from "../support/tls_error.js";
import type { Trial } from "../support/trial.js";

type Tls = TlsContext | Omit<TlsStartOptions, "received">;

const CLIENT = clientContext();

/** A client against a server that shows one of the test certificates. */
async function meet(
  trial: Trial,
  certificate: TlsContext,
  tls: Tls,
  scripts: { client?: Script; server?: Script } = {},
): Promise<{ client: Recorder; server: Recorder }> {
  const served = await trial.serve(scripts.server, { tls: certificate });
  const client = trial.dial(served, scripts.client, { tls });
  return { client, server: await served.peer() };
}

onEveryEngine("TLS, trust", (engine) => {
  // What a client makes of a server ------------------------------------------------------------------------------

  const refused = (what: string, certificate: string, tls: Tls, verifyError: RegExp) => {
    engine.rule(`a client refuses ${what}`, async (trial) => {
      const { client, server } = await meet(trial, serverContext({}, certificate), tls, {
        server: { postInit: (me) => me.sendData("secret") },
        client: { postInit: (me) => me.sendData("secret") },
      });
      await trial.allUnbound();
      const error = tlsError(client.reason);
      assert.equal(error.code, "ERR_EM_TLS_VERIFY");
      assert.match(error.verifyError ?? "", verifyError);
      assert.match(error.message, verifyError);
      assert.equal(client.handshakes, 0);
      assert.equal(client.bytes + server.bytes, 0, "nothing was sent or delivered");
      if (!engine.has("tlsAlerts")) return;
      assert.equal(error.alert?.from, "local");
      // The server is told why.
      assert.deepEqual(tlsError(server.reason).alert, { name: error.alert?.name, from: "peer" });
    });
  };

  refused("an unknown authority", "stranger", CLIENT, /^UNABLE_TO_|UNABLE_TO_/);
  refused("every authority but Node's own, unless told", "server", { serverName: "server.test" }, /UNABLE_TO_/);
  refused("a certificate that has expired", "expired", CLIENT, /CERT_HAS_EXPIRED/);
  refused("a self-signed certificate", "self", CLIENT, /DEPTH_ZERO_SELF_SIGNED_CERT/);
  refused("a certificate for another address", "elsewhere", CLIENT, /IP_ADDRESS_MISMATCH/);
  refused(
    "a certificate for another name",
    "elsewhere",
    { context: CLIENT, serverName: "server.test" },
    /HOSTNAME_MISMATCH/,
  );
  refused(
    "a name that is not the one it verifies",
    "server",
    { context: CLIENT, verifyName: "a.test" },
    /HOSTNAME_MISM/,
  );
  refused(
    "an address that is not the one it verifies",
    "server",
    { context: CLIENT, verifyName: "::2" },
    /IP_ADDRESS_M/,
  );
  refused("a wildcard for two labels", "wild", { context: CLIENT, verifyName: "a.b.wild.test" }, /HOSTNAME_MISMATCH/);

  const accepted = (what: string, certificate: string, tls: Tls) => {
    engine.rule(`a client accepts ${what}`, async (trial) => {
      const { client } = await meet(trial, serverContext({}, certificate), tls);
      const info = await client.secured;
      assert.equal(info.isAuthorized, true);
      assert.equal(info.verifyError, undefined);
      client.closeConnection();
    });
  };

  accepted("a certificate for the address it connected to", "server", CLIENT);
  accepted("a certificate for the name it was told", "server", { context: CLIENT, serverName: "server.test" });
  accepted("a name in any case, with the root's dot", "server", { context: CLIENT, serverName: "SERVER.Test." });
  accepted("a wildcard", "wild", { context: CLIENT, serverName: "a.wild.test" });
  accepted("a chain with an intermediate certificate", "chained", CLIENT);
  accepted("an RSA certificate", "server-rsa", CLIENT);
  accepted("an authority given as text", "server", { ca: pkiFile("ca.pem").toString() });
  accepted("one of several authorities", "stranger", { ca: [AUTHORITY, pkiFile("stranger-ca.pem"), "default"] });
  accepted("a self-signed certificate that it was given", "self", { ca: pkiPath("self.pem") });
  accepted("any name, when told to check none", "elsewhere", { context: CLIENT, verifyName: false });

  engine.rule("the name is the host's, where the host has one", async (trial) => {
    trial.names.set("server.test", async () => ["127.0.0.1"]);
    trial.names.set("wrong.test", async () => ["127.0.0.1"]);
    const served = await trial.serve({}, { tls: serverContext() });
    const { port } = served.at as { port: number };
    const right = trial.dial({ host: "server.test", port }, {}, { tls: CLIENT });
    await right.secured;
    assert.equal(right.sniHostname, "server.test");
    assert.equal((await (await served.peer()).secured).serverName, "server.test");
    const wrong = trial.dial({ host: "wrong.test", port }, {}, { tls: CLIENT });
    await assert.rejects(wrong.secured, { code: "ERR_EM_TLS_VERIFY", verifyError: "HOSTNAME_MISMATCH" });
    right.closeConnection();
    await trial.allUnbound();
  });

  engine.rule("rejectUnauthorized: false takes what it gets, and says what is wrong with it", async (trial) => {
    const loose = clientContext({ rejectUnauthorized: false });
    for (const [name, wrong] of [
      ["expired", /^CERT_HAS_EXPIRED$/],
      ["stranger", /^UNABLE_TO_/],
      ["elsewhere", /^IP_ADDRESS_MISMATCH$/],
      ["self", /^DEPTH_ZERO_SELF_SIGNED_CERT$/],
    ] as const) {
      const { client } = await meet(trial, serverContext({}, name), loose);
      const info = await client.secured;
      assert.equal(info.isAuthorized, false);
      assert.match(info.verifyError ?? "", wrong);
      client.closeConnection();
      await trial.allUnbound();
    }
  });

  engine.rule("a certificate can be looked at", async (trial) => {
    const { client } = await meet(trial, serverContext({}, "chained"), CLIENT);
    const info = await client.secured;
    assert.ok(info.peerCertificate instanceof X509Certificate);
    assert.equal(client.peerCertificate?.fingerprint256, new X509Certificate(pkiFile("chained.pem")).fingerprint256);
    assert.match(info.peerCertificates[1]?.subject ?? "", /Test Intermediate/);
    assert.match(String(client.peerCertificate), /^-----BEGIN CERTIFICATE-----/);
    client.closeConnection();
  });

  // What a server makes of a client ------------------------------------------------------------------------------

  const demanding = (options = {}) => serverContext({ ca: AUTHORITY, requireCertificate: true, ...options });
  const alice = clientContext(identity("client"));

  engine.rule("a server that asks gets the client's certificate", async (trial) => {
    for (const maxVersion of ["TLSv1.3", "TLSv1.2"] as const) {
      const { client, server } = await meet(trial, demanding({ maxVersion }), alice);
      const info = await server.secured;
      await client.secured;
      assert.equal(info.isAuthorized, true);
      assert.match(server.peerCertificate?.subject ?? "", /alice/);
      client.closeConnection();
      await trial.allUnbound();
    }
  });

  engine.rule("a server that requires one refuses a client without", async (trial) => {
    for (const maxVersion of ["TLSv1.3", "TLSv1.2"] as const) {
      const { client, server } = await meet(trial, demanding({ maxVersion }), CLIENT, {
        client: { postInit: (me) => me.sendData("secret") },
      });
      await trial.allUnbound();
      assert.equal(tlsError(server.reason).code, "ERR_EM_TLS_VERIFY");
      assert.match(tlsError(server.reason).message, /peer did not return a certificate/);
      assert.equal(server.handshakes + server.bytes, 0);
      // OpenSSL sends this alert on every engine; with TLS 1.3 the client was through already.
      const { alert } = tlsError(client.reason);
      assert.equal(alert?.from, "peer");
      assert.match(alert?.name ?? "", maxVersion === "TLSv1.3" ? /^certificate_required$/ : /^handshake_failure$/);
    }
  });

  engine.rule("a server that only asks takes a client without", async (trial) => {
    const context = serverContext({ ca: AUTHORITY, requestCertificate: true });
    const { client, server } = await meet(trial, context, CLIENT, {
      server: { sslVerifyPeer: () => assert.fail("there is nothing to verify") },
    });
    await client.secured;
    assert.equal((await server.secured).isAuthorized, false);
    assert.equal(server.peerCertificate, undefined);
    client.closeConnection();
  });

  engine.rule("a server refuses a client of an unknown authority", async (trial) => {
    const mallory = clientContext(identity("stranger-client"));
    const { client, server } = await meet(trial, demanding(), mallory, {
      client: { postInit: (me) => me.sendData("secret") },
    });
    await trial.allUnbound();
    const error = tlsError(server.reason);
    assert.equal(error.code, "ERR_EM_TLS_VERIFY");
    assert.match(error.verifyError ?? "", /^UNABLE_TO_/);
    assert.equal(server.handshakes + server.bytes, 0);
    if (engine.has("tlsAlerts")) {
      assert.deepEqual(tlsError(client.reason).alert, { name: error.alert?.name, from: "peer" });
    } else assert.match(client.kind ?? "", /^(peer-closed|peer-reset|tls-error)$/);
  });

  engine.rule(
    "what a refused client put up with in its server's certificate is no part of the failure",
    async (trial) => {
      const mallory = clientContext({
        ...identity("stranger-client"),
        ca: identity("stranger-ca").cert,
        rejectUnauthorized: false,
      });
      const { client } = await meet(trial, demanding(), mallory);
      await trial.allUnbound();
      const { reason } = client;
      if (!engine.has("tlsAlerts") && reason?.kind !== "tls-error") return;
      const error = tlsError(reason);
      assert.equal(error.code, "ERR_EM_TLS_PROTOCOL");
      assert.equal(error.verifyError, undefined);
      assert.doesNotMatch(error.message, /UNABLE_TO_/);
    },
  );

  engine.rule("it takes one when told not to reject, and says what is wrong", async (trial) => {
    const mallory = clientContext(identity("stranger-client"));
    const { client, server } = await meet(trial, demanding({ rejectUnauthorized: false }), mallory);
    assert.match((await server.secured).verifyError ?? "", /^UNABLE_TO_/);
    client.closeConnection();
  });

  engine.rule("a context of its own does not show a certificate that nobody asked for", async (trial) => {
    const { client, server } = await meet(trial, serverContext(), alice);
    await Promise.all([client.secured, server.secured]);
    assert.equal(server.peerCertificate, undefined);
    client.closeConnection();
  });

  // What the handler makes of a peer -----------------------------------------------------------------------------

  engine.rule(
    "sslVerifyPeer gets the certificate and OpenSSL's verdict, once, before anything is secured",
    async (trial) => {
      const seen: unknown[] = [];
      const { client } = await meet(trial, serverContext({}, "chained"), CLIENT, {
        client: {
          sslVerifyPeer: (me, certificate, verdict) => {
            assert.ok(certificate instanceof X509Certificate);
            seen.push(certificate.subject, verdict.isAuthorized, verdict.error, me.isSecure, verdict.chain.length >= 2);
            return true;
          },
        },
      });
      await client.secured;
      assert.deepEqual(seen, ["CN=server.test", true, undefined, false, true]);
      assert.deepEqual(client.order.slice(0, 3), ["postInit", "connectionCompleted", "sslVerifyPeer"]);
      client.closeConnection();
    },
  );

  engine.rule("it can refuse what OpenSSL accepts, on both sides", async (trial) => {
    const refusing: Script = { sslVerifyPeer: () => false, postInit: (me) => me.sendData("secret") };
    const one = await meet(trial, serverContext(), CLIENT, { client: refusing });
    await trial.allUnbound();
    assert.equal(tlsError(one.client.reason).code, "ERR_EM_TLS_VERIFY");
    assert.equal(one.server.bytes + one.client.handshakes, 0);
    const other = await meet(trial, demanding(), alice, { server: refusing });
    await trial.allUnbound();
    assert.equal(tlsError(other.server.reason).code, "ERR_EM_TLS_VERIFY");
    assert.equal(other.client.bytes + other.server.handshakes, 0);
  });

  engine.rule("it cannot accept what OpenSSL refuses, and is not asked", async (trial) => {
    const { client } = await meet(trial, serverContext({}, "expired"), CLIENT, {
      client: { sslVerifyPeer: () => assert.fail("asked") },
    });
    await trial.allUnbound();
    assert.equal(tlsError(client.reason).verifyError, "CERT_HAS_EXPIRED");
  });

  engine.rule("with rejectUnauthorized: false it is the judge", async (trial) => {
    const loose = clientContext({ rejectUnauthorized: false });
    const pin = new X509Certificate(pkiFile("self.pem")).fingerprint256;
    const pinned: Script = {
      sslVerifyPeer: (_, certificate, verdict) => {
        assert.equal(verdict.isAuthorized, false);
        return certificate.fingerprint256 === pin;
      },
    };
    const right = await meet(trial, serverContext({}, "self"), loose, { client: pinned });
    await right.client.secured;
    const wrong = await meet(trial, serverContext({}, "stranger"), loose, { client: pinned });
    await assert.rejects(wrong.client.secured, { code: "ERR_EM_TLS_VERIFY" });
    right.client.closeConnection();
    await trial.allUnbound();
  });

  engine.rule("while its promise is open nothing is secured, sent or delivered", async (trial) => {
    let answer: (accepted: boolean) => void = () => {};
    const question = new Promise<boolean>((resolve) => {
      answer = resolve;
    });
    let asked = false;
    const { client, server } = await meet(trial, serverContext(), CLIENT, {
      client: {
        postInit: (me) => me.sendData("from the client"),
        sslVerifyPeer: () => {
          asked = true;
          return question;
        },
      },
      server: { postInit: (me) => me.sendData("from the server") },
    });
    await trial.until(() => asked, "the question");
    await trial.settle();
    assert.equal(client.isSecure, false);
    assert.equal(client.bytes + server.bytes, 0);
    assert.ok(client.outboundSize > 0);
    answer(true);
    await trial.until(() => client.text === "from the server" && server.text === "from the client", "both");
    assert.equal(client.isSecure, true);
    client.closeConnection();
  });

  /** Everything but true, or a promise of it. */
  const noes: readonly [string, () => unknown][] = [
    ["nothing, for a return was forgotten", () => undefined],
    ["null", () => null],
    ["1", () => 1],
    ["a text", () => "true"],
    ["an object", () => ({})],
    ["a boxed true", () => Object(true)],
    ["a function", () => () => true],
    ["a promise of nothing", async () => {}],
    ["a promise of null", async () => null],
    ["a promise of 1", async () => 1],
    ["a promise of a boxed true", async () => Object(true)],
    ["a promise of a function", async () => () => true],
  ];

  for (const [what, sslVerifyPeer] of noes) {
    engine.rule(`true alone accepts a certificate: ${what} refuses it, on both sides`, async (trial) => {
      const errors: unknown[] = [];
      trial.reactor.onError((error) => errors.push(error));
      const judging: Script = { sslVerifyPeer, postInit: (me) => me.sendData("secret") };
      for (const rejectUnauthorized of [true, false]) {
        const one = await meet(trial, serverContext(), clientContext({ rejectUnauthorized }), { client: judging });
        await trial.allUnbound(one.client);
        const error = tlsError(one.client.reason);
        assert.equal(error.code, "ERR_EM_TLS_VERIFY");
        assert.match(error.message, /sslVerifyPeer answered with \w+: true alone accepts/);
        assert.equal(one.server.bytes + one.client.handshakes, 0);
        const other = await meet(trial, demanding({ rejectUnauthorized }), alice, { server: judging });
        await trial.allUnbound(other.server);
        assert.equal(tlsError(other.server.reason).code, "ERR_EM_TLS_VERIFY");
        assert.match(tlsError(other.server.reason).message, /true alone accepts/);
        assert.equal(other.client.bytes + other.server.handshakes, 0);
      }
      assert.deepEqual(errors, []);
    });
  }

  engine.rule("true accepts, and so does a promise of it, also one of another library", async (trial) => {
    // biome-ignore lint/suspicious/noThenProperty: another library's promise
    const thenable = { then: (take: (accepted: boolean) => void) => take(true) };
    for (const sslVerifyPeer of [() => true, async () => true, () => thenable]) {
      const { client } = await meet(trial, serverContext(), CLIENT, { client: { sslVerifyPeer } });
      await client.secured;
      client.closeConnection();
      await trial.allUnbound();
    }
  });

  engine.rule("without an override it gives OpenSSL's verdict", async (trial) => {
    for (const [certificate, accepts] of [
      ["server", true],
      ["stranger", false],
    ] as const) {
      const { client } = await meet(
        trial,
        serverContext({}, certificate),
        clientContext({ rejectUnauthorized: false }),
        {
          client: { sslVerifyPeer: (me, ...args) => Connection.prototype.sslVerifyPeer.apply(me, args) },
        },
      );
      if (accepts) await client.secured;
      else await assert.rejects(client.secured, { code: "ERR_EM_TLS_VERIFY" });
      client.closeConnection();
      await trial.allUnbound();
    }
  });

  engine.rule("a promise of false refuses, and a late one harms nobody", async (trial) => {
    const { client } = await meet(trial, serverContext(), CLIENT, { client: { sslVerifyPeer: async () => false } });
    await trial.allUnbound(client);
    assert.equal(tlsError(client.reason).code, "ERR_EM_TLS_VERIFY");
    let answer: (accepted: boolean) => void = () => {};
    const { client: closing } = await meet(trial, serverContext(), CLIENT, {
      client: {
        sslVerifyPeer: (me) => {
          me.closeConnection();
          return new Promise<boolean>((resolve) => {
            answer = resolve;
          });
        },
      },
    });
    await trial.allUnbound(closing);
    assert.equal(closing.kind, "local-close");
    answer(true);
    await trial.settle();
    assert.equal(closing.handshakes, 0);
  });

  engine.runRule("an answer that comes after the reactor has stopped harms nobody, whatever it is", async (trial) => {
    const answers: ((answer: unknown) => void)[] = [];
    const pending = () => new Promise<never>((resolve) => answers.push(resolve as (answer: unknown) => void));
    for (const late of [true, false, 7, undefined, serverContext()]) {
      answers.length = 0;
      await trial.reactor.run(async () => {
        const judged = await trial.serve({}, { tls: serverContext() });
        const named = await trial.serve({}, { tls: serverContext({ selectContext: pending }) });
        trial.dial(judged, { sslVerifyPeer: pending }, { tls: clientContext() });
        trial.dial(named, {}, { tls: { context: clientContext(), serverName: "server.test" } });
        await trial.until(() => answers.length === 2, "both questions");
        trial.reactor.stop();
      });
      // What a promise of the library's were rejected with would fail the test here.
      for (const answer of answers) answer(late);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });

  engine.rule("a throw in it, or a rejection, refuses and is a handler's error", async (trial) => {
    const errors: unknown[] = [];
    trial.reactor.onError((error) => errors.push(error));
    for (const sslVerifyPeer of [
      () => {
        throw new Error("broken");
      },
      async () => {
        throw new Error("broken");
      },
    ]) {
      const { client } = await meet(trial, serverContext(), CLIENT, { client: { sslVerifyPeer } });
      await trial.allUnbound();
      assert.equal(client.kind, "handler-error");
      assert.equal(client.handshakes, 0);
    }
    assert.equal(errors.length, 2);
    // Where onError takes the error, the certificate is refused all the same.
    const { client } = await meet(trial, serverContext(), CLIENT, {
      client: {
        onError: () => true,
        sslVerifyPeer: () => {
          throw new Error("broken");
        },
      },
    });
    await trial.allUnbound();
    assert.equal(tlsError(client.reason).code, "ERR_EM_TLS_VERIFY");
  });
});
