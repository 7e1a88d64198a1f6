import assert from "node:assert/strict";
import { once } from "node:events";
import { networkInterfaces } from "node:os";
import { connect as tlsConnect } from "node:tls";
import { type ConnectOptions, TlsContext } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import { clientContext, identity, serverContext } from "../support/pki.js";
import type { Recorder } from "../support/recorder.js";
import type { Served, Trial } from "../support/trial.js";

const CLIENT = clientContext();

/** What comes of a client that is told to verify the server as this. */
async function verified(trial: Trial, served: Served, tls: object): Promise<string> {
  const client = trial.dial(served, {}, { tls: { context: CLIENT, ...tls } });
  const outcome = await client.secured.then(
    () => "secured",
    (error: { verifyError?: string; code: string }) => error.verifyError ?? error.code,
  );
  client.closeConnection();
  await trial.allUnbound(client);
  return outcome;
}

/** The failure of a connect, or "open". */
async function outcomeOf(trial: Trial, client: Recorder): Promise<string> {
  const outcome = await client.opened.then(
    () => "open",
    (error: { code: string }) => `${client.kind} ${error.code}`,
  );
  client.closeConnection();
  await trial.allUnbound(client);
  return outcome;
}

/** An address of this machine that is good on one link alone. */
function linkLocal(): { address: string; name: string; index: number } | undefined {
  for (const [name, addresses = []] of Object.entries(networkInterfaces())) {
    for (const each of addresses) {
      if (each.family === "IPv6" && each.scopeid > 0) return { address: each.address, name, index: each.scopeid };
    }
  }
  return undefined;
}

onEveryEngine("host names", (engine) => {
  engine.rule("what is no host name is refused for each option that takes one", (trial) => {
    const to = { host: "127.0.0.1", port: 1 };
    const refused = { name: "ArgumentError", code: "ERR_EM_INVALID_ARGUMENT", message: /must be a host name/ };
    for (const name of [
      "server.test/evil.test",
      "server.test?x",
      "server.test#x",
      "server.test\\x",
      "serv%65r.test",
      "server\n.test",
      "ser\tver.test",
      "a..b",
      "foo.1",
      "300.0.0.1",
      "-x",
      "",
    ]) {
      const { reactor } = trial;
      assert.throws(() => reactor.connect({ ...to, tls: { verifyName: name } }), refused, `verifyName ${name}`);
      assert.throws(() => reactor.connect({ ...to, tls: { serverName: name } }), refused, `serverName ${name}`);
      assert.throws(() => reactor.connect({ ...to, host: name }), refused, `host ${name}`);
      assert.throws(() => reactor.connect({ ...to, localAddress: { host: name } }), refused, `local ${name}`);
      assert.throws(() => reactor.bindConnect({ host: name }, to), refused, `bindConnect ${name}`);
      assert.throws(
        () => new TlsContext({ ...identity("server"), contexts: { [name]: identity("server") } }),
        refused,
        `contexts ${name}`,
      );
    }
    assert.equal(trial.reactor.connectionCount, 0);
  });

  engine.rule("startServer refuses what is no host name", async (trial) => {
    for (const host of ["server.test/x", "foo.1", "a..b"]) {
      await assert.rejects(trial.serve({}, { host, port: 0 }), { code: "ERR_EM_INVALID_ARGUMENT" }, host);
    }
  });

  engine.rule("an address in any spelling is connected to without the resolver, and listened on", async (trial) => {
    const served = await trial.serve();
    const { port } = served.at as { port: number };
    const spellings = [
      "127.1",
      "0x7f.1",
      "0177.0.0.1",
      "2130706433",
      "[127.0.0.1]",
      "::ffff:127.0.0.1",
      "::ffff:7f00:1",
    ];
    for (const host of [...spellings, "127.0.0.1.", "１２７.0.0.1"]) {
      assert.equal(await outcomeOf(trial, trial.dial({ host, port })), "open", host);
      const listening = await trial.serve({}, { host, port: 0 });
      assert.deepEqual(
        { ...listening.listener.address, port: 0 },
        { family: "IPv4", host: "127.0.0.1", port: 0 },
        host,
      );
      await listening.listener.close();
    }
  });

  engine.rule("an address in any spelling is checked as an address, and never sent as a name", async (trial) => {
    const asked: string[] = [];
    const tls = serverContext({ selectContext: (name) => void asked.push(name) });
    const served = await trial.serve({}, { tls });
    const { port } = served.at as { port: number };
    for (const host of ["127.1", "0x7f.1", "2130706433", "::ffff:127.0.0.1", "[127.0.0.1]"]) {
      const client = trial.dial({ host, port }, {}, { tls: CLIENT });
      await client.secured;
      assert.equal(client.sniHostname, undefined, host);
      client.closeConnection();
    }
    for (const verifyName of [
      "127.1",
      "0x7f000001",
      "::ffff:127.0.0.1",
      "[::1]",
      "0:0:0:0:0:0:0:1",
      "::1%lo",
      "::1%1",
    ]) {
      assert.equal(await verified(trial, served, { verifyName }), "secured", verifyName);
    }
    for (const verifyName of ["127.2", "0x7f.0.0.2", "::2", "::2%lo"]) {
      assert.equal(await verified(trial, served, { verifyName }), "IP_ADDRESS_MISMATCH", verifyName);
    }
    assert.deepEqual(asked, []);
    await trial.allUnbound();
  });

  engine.rule("a zone is no part of who the server is", async (trial) => {
    const served = await trial.serve({}, { host: "::1", port: 0, tls: serverContext() });
    const { port } = served.at as { port: number };
    for (const host of ["::1", "::1%lo", "::1%1", "[::1%lo]"]) {
      const client = trial.dial({ host, port }, {}, { tls: CLIENT });
      assert.equal((await client.secured).peerCertificate?.subject, "CN=server.test", host);
      client.closeConnection();
    }
    await trial.allUnbound();
  });

  engine.rule("a zone is the name or the number of an interface", async (trial) => {
    const link = linkLocal();
    const served = await trial.serve({}, { host: "::", port: 0 });
    const port = served.listener.port as number;
    for (const host of ["::1%lo", "::1%1"])
      assert.equal(await outcomeOf(trial, trial.dial({ host, port })), "open", host);
    const nowhere = trial.dial({ host: "fe80::1%4000000", port }, {}, { connectTimeout: 5_000 });
    assert.match(await outcomeOf(trial, nowhere), /^connect-(failed|unreachable) E(INVAL|NODEV|NETUNREACH|NXIO)$/);
    // A machine without such an address, as a container has it, cannot show the rest.
    if (link === undefined) return;
    for (const zone of [link.name, link.index]) {
      const host: string = `${link.address}%${zone}`;
      assert.equal(await outcomeOf(trial, trial.dial({ host, port })), "open", host);
      const listening = await trial.serve({}, { host, port: 0 });
      assert.equal(await outcomeOf(trial, trial.dial({ host, port: listening.listener.port as number })), "open", host);
    }
  });

  engine.rule("names are given to the resolver in one spelling", async (trial) => {
    const served = await trial.serve();
    const { port } = served.at as { port: number };
    for (const name of ["server.test", "server.test.", "xn--bcher-kva.test"])
      trial.names.set(name, async () => ["127.0.0.1"]);
    for (const host of ["SERVER.test", "Server.Test.", "Bücher.test", "bücher。test"]) {
      assert.equal(await outcomeOf(trial, trial.dial({ host, port })), "open", host);
    }
  });

  engine.rule("localhost and what is below it are loopback, whatever the resolver says", async (trial) => {
    trial.names.set("localhost", async () => ["192.0.2.1"]);
    const served = await trial.serve();
    const { port } = served.at as { port: number };
    for (const host of ["localhost", "LOCALHOST", "localhost.", "api.localhost", "A.B.LocalHost."]) {
      assert.equal(await outcomeOf(trial, trial.dial({ host, port })), "open", host);
    }
    const listening = await trial.serve({}, { host: "Api.LocalHost", port: 0 });
    assert.deepEqual(
      listening.listener.addresses.map((each) => each.family),
      ["IPv6", "IPv4"],
    );
  });

  engine.rule("a resolver may answer in any spelling, with a zone too; what is no address fails", async (trial) => {
    const served = await trial.serve();
    const { port } = served.at as { port: number };
    trial.names.set("good.test", async () => ["::ffff:127.0.0.1"]);
    trial.names.set("bad.test", async () => ["server.test"]);
    assert.equal(await outcomeOf(trial, trial.dial({ host: "good.test", port })), "open");
    assert.equal(
      await outcomeOf(trial, trial.dial({ host: "bad.test", port })),
      "name-not-found ERR_EM_INVALID_ARGUMENT",
    );
  });

  // What a peer sends --------------------------------------------------------------------------------------------

  engine.rule("selectContext and sniHostname see host names alone, in one spelling", async (trial) => {
    const asked: string[] = [];
    const selectContext = (name: string) => void asked.push(name);
    const served = await trial.serve({}, { tls: serverContext({ selectContext }) });
    const { port } = served.at as { port: number };
    const sent: readonly [string, string | undefined][] = [
      ["SERVER.test", "server.test"],
      ["server.test.", "server.test"],
      ["_a.server.test", "_a.server.test"],
      ["server.test/../x", undefined],
      ["server test", undefined],
      ["server..test", undefined],
      [".server.test", undefined],
      ["-server.test", undefined],
      ["*.test", undefined],
      ["a:b", undefined],
      ["<script>", undefined],
      ["bücher.test", undefined],
      ["127.1", undefined],
      ["0x7f.1", undefined],
      ["foo.1", undefined],
      [`${"a".repeat(64)}.test`, undefined],
      [`${"a.".repeat(127)}a`, undefined],
      ["\x01\x7f", undefined],
    ];
    for (const [index, [servername, expected]] of sent.entries()) {
      asked.length = 0;
      const client = tlsConnect({ host: "127.0.0.1", port, servername, rejectUnauthorized: false });
      await once(client, "secureConnect");
      const server = await served.peer(index);
      const info = await server.secured;
      assert.deepEqual(asked, expected === undefined ? [] : [expected], JSON.stringify(servername));
      assert.equal(info.serverName, expected, JSON.stringify(servername));
      assert.equal(server.sniHostname, expected, JSON.stringify(servername));
      client.destroy();
    }
    await trial.allUnbound();
  });

  engine.rule("protocols are bytes: any of them is chosen, and reported as it was given", async (trial) => {
    const all = String.fromCharCode(...Array.from({ length: 255 }, (_, index) => index + 1));
    for (const alpn of ["h2", "\n\n", "\0", "é", "\xff\xfe", "Ã©", all]) {
      const served = await trial.serve({}, { tls: serverContext({ alpn: ["other", alpn] }) });
      const client = trial.dial(served, {}, { tls: clientContext({ alpn: [alpn] }) });
      await client.secured;
      const server = await served.peer();
      await server.secured;
      assert.equal(client.alpnProtocol, alpn, JSON.stringify(alpn));
      assert.equal(server.alpnProtocol, alpn, JSON.stringify(alpn));
      client.closeConnection();
      await trial.allUnbound(client, server);
    }
    for (const alpn of ["Ā", "x".repeat(256), ""]) {
      assert.throws(() => new TlsContext({ alpn: [alpn] }), { code: "ERR_EM_INVALID_ARGUMENT", message: /alpn/ });
    }
  });

  // Local addresses ----------------------------------------------------------------------------------------------

  engine.rule("localAddress and bindConnect take names, and addresses in any spelling", async (trial) => {
    trial.names.set("here.test", async () => ["127.0.0.3"]);
    const served = await trial.serve();
    const at = served.at as { host: string; port: number };
    for (const [index, host] of ["here.test", "HERE.test", "127.3", "::ffff:127.0.0.3"].entries()) {
      const client =
        index % 2 === 0 ? trial.dial(served, {}, { localAddress: { host } }) : trial.reactor.bindConnect({ host }, at);
      await client.opened;
      assert.equal((client.localAddress as { host: string }).host, "127.0.0.3", host);
      client.closeConnection();
      await client.closed;
    }
  });

  engine.rule("a local name that does not resolve is a reason", async (trial) => {
    const served = await trial.serve();
    const client = trial.dial(served, {}, { localAddress: { host: "nowhere.test" } });
    assert.equal(await outcomeOf(trial, client), "name-not-found ENOTFOUND");
  });

  engine.rule("a local address leaves out the server's addresses of the other family", async (trial) => {
    const served = await trial.serve();
    const { port } = served.at as { port: number };
    trial.names.set("both.test", async () => ["::1", "127.0.0.1"]);
    trial.names.set("six.test", async () => ["::1"]);
    trial.names.set("local.test", async () => ["::1", "127.0.0.2"]);
    const from = (host: string): ConnectOptions => ({ localAddress: { host }, connectionAttemptDelay: 60_000 });
    for (const local of ["127.0.0.2", "local.test"]) {
      const client = trial.dial({ host: "both.test", port }, {}, from(local));
      await client.opened;
      assert.equal((client.localAddress as { host: string }).host, "127.0.0.2", local);
      client.closeConnection();
    }
    for (const [host, local] of [
      ["127.0.0.1", "::1"],
      ["::1", "127.0.0.1"],
      ["six.test", "127.0.0.2"],
      ["six.test", "127.2"],
    ] as const) {
      const client = trial.dial({ host, port }, {}, from(local));
      assert.equal(client.state, "connecting", "not within the call");
      assert.equal(await outcomeOf(trial, client), "connect-failed EAFNOSUPPORT", `${host} from ${local}`);
    }
    await trial.allUnbound();
  });

  // The resolver's signal ----------------------------------------------------------------------------------------

  const ends: readonly [string, (client: Recorder, calledOff: AbortController) => void, ConnectOptions][] = [
    ["is closed", (client) => client.closeConnection(), {}],
    ["is called off", (_, calledOff) => calledOff.abort(), {}],
    ["runs out of time", () => {}, { connectTimeout: 20 }],
  ];
  for (const [what, end, options] of ends) {
    engine.rule(`a resolver's signal aborts when the connect ${what}`, async (trial) => {
      let signal: AbortSignal | undefined;
      const reactor = trial.makeReactor({
        resolver: (_host, given) => {
          signal = given;
          return new Promise(() => {});
        },
      });
      await reactor.run(async () => {
        const calledOff = new AbortController();
        const { Recorder } = await import("../support/recorder.js");
        const to = { host: "slow.test", port: 1, signal: calledOff.signal, ...options };
        const client = reactor.connect(to, Recorder, trial, {});
        assert.equal(signal?.aborted, false);
        end(client, calledOff);
        await client.closed;
        assert.equal(signal?.aborted, true);
        reactor.stop();
      });
    });
  }

  engine.rule("a resolver's signal does not abort once it has answered", async (trial) => {
    let signal: AbortSignal | undefined;
    const served = await trial.serve();
    const { port } = served.at as { port: number };
    const reactor = trial.makeReactor({
      resolver: async (_host, given) => {
        signal = given;
        return ["127.0.0.1"];
      },
    });
    await reactor.run(async () => {
      const client = reactor.connect({ host: "quick.test", port });
      await client.opened;
      client.closeConnection();
      await client.closed;
      assert.equal(signal?.aborted, false);
      reactor.stop();
    });
    await trial.allUnbound();
  });

  engine.rule("a code of the resolver's is a code, or it is not passed on", async (trial) => {
    const failing: readonly [unknown, string][] = [
      ["EAI_AGAIN", "EAI_AGAIN"],
      ["Something went wrong", "ENOTFOUND"],
      ["", "ENOTFOUND"],
      [7, "ENOTFOUND"],
    ];
    for (const [index, [code, expected]] of failing.entries()) {
      const host = `broken${index}.test`;
      trial.names.set(host, async () => {
        throw Object.assign(new Error("broken"), { code });
      });
      const client = trial.dial({ host, port: 1 });
      assert.equal(await outcomeOf(trial, client), `name-not-found ${expected}`);
    }
  });
});
