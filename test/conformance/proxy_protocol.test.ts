import assert from "node:assert/strict";
import {
  Connection,
  type ConnectOptions,
  type ProxyHeaderOptions,
  type ProxyProtocolOptions,
  proxyHeader,
  relay,
  type SocketAddress,
} from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import { clientContext, serverContext } from "../support/pki.js";
import type { Recorder, Script } from "../support/recorder.js";
import type { Served, Trial } from "../support/trial.js";

const USER: SocketAddress = { family: "IPv4", host: "203.0.113.7", port: 5678 };
const FRONT: SocketAddress = { family: "IPv4", host: "198.51.100.2", port: 443 };
const HEADER = { source: USER, destination: FRONT } as const;
const LINE = "PROXY TCP4 203.0.113.7 198.51.100.2 5678 443\r\n";
const TRUSTED: ProxyProtocolOptions = { from: ["127.0.0.0/8", "unix"] };
const plain: ConnectOptions = { tls: false };

/** Dials in clear, also where the listener begins with TLS, and sends these pieces, each in a turn of its own. */
function say(trial: Trial, served: Served, pieces: readonly (string | Buffer)[], script: Script = {}): Recorder {
  return trial.dial(
    served,
    {
      name: "balancer",
      ...script,
      connectionCompleted: async (me) => {
        for (const piece of pieces) {
          if (me.state !== "open") return;
          me.sendData(piece);
          await trial.sleep(5);
        }
        return script.connectionCompleted?.(me);
      },
    },
    plain,
  );
}

/** The peer was closed, and no connection was made of it. */
async function refused(trial: Trial, served: Served, peer: Recorder): Promise<void> {
  await trial.until(() => peer.isUnbound, "the peer is closed");
  assert.match(peer.kind ?? "", /^peer-(closed|reset)$/);
  assert.equal(served.peers.length, 0);
  await trial.until(() => served.listener.refusedCount === 1, "it is counted");
  assert.equal(served.listener.acceptedCount, 0);
  assert.equal(served.listener.connectionCount, 0);
}

onEveryEngine("the PROXY protocol", (engine) => {
  engine.ruleOnEach("a trusted peer's header tells who the connection is from", async (trial, medium) => {
    for (const version of [1, 2] as const) {
      const seen: unknown[] = [];
      const served = await trial.serve({ postInit: (me) => seen.push(me.remoteAddress) }, { proxyProtocol: TRUSTED });
      const client = trial.dial(served, {}, { proxyHeader: { version, ...HEADER } });
      client.sendData("hello");
      const peer = await served.peer();
      await trial.until(() => peer.text === "hello", "what follows the header");
      assert.deepEqual(seen, [USER], "postInit comes after the header");
      assert.deepEqual(peer.remoteAddress, USER);
      assert.equal(peer.via?.header.version, version);
      assert.deepEqual(peer.via?.header.destination, FRONT);
      assert.deepEqual(peer.via?.address, medium === "unix" ? { family: "unix", path: "" } : client.localAddress);
      assert.equal(peer.bytesIn, 5, "the header does not count");
      assert.deepEqual(client.via, undefined);
      peer.sendData("welcome");
      await trial.until(() => client.text === "welcome", "an answer");
      client.closeConnection();
      await trial.allUnbound();
      assert.deepEqual(peer.remoteAddress, USER, "also when it has ended");
      assert.equal(served.listener.refusedCount, 0);
    }
  });

  engine.rule("in pieces of any size the header is the same", async (trial) => {
    const second = proxyHeader({ ...HEADER, tlvs: [{ type: 2, value: "a.example" }], checksum: true });
    const headers = [Buffer.from(LINE), second];
    for (const header of headers) {
      const served = await trial.serve({}, { proxyProtocol: TRUSTED });
      const bytes = Buffer.concat([header, Buffer.from("rest")]);
      const peers: Recorder[] = [];
      for (const cuts of [[1], [header.length - 1], [header.length], [header.length + 1], [3, 9, 17, 30]]) {
        const at = [0, ...cuts, bytes.length];
        const pieces = at.slice(1).map((end, index) => bytes.subarray(at[index], end));
        say(trial, served, pieces);
        peers.push(await served.peer(peers.length));
      }
      await trial.until(() => peers.every((peer) => peer.text === "rest"), "the rest");
      for (const peer of peers) assert.deepEqual(peer.remoteAddress, USER);
      if (header !== second) continue;
      assert.deepEqual(peers[0]?.via?.header.tlvs, [{ type: 2, value: Buffer.from("a.example") }]);
    }
  });

  engine.rule("a header of 4 KiB comes byte by byte, and one alone makes a connection", async (trial) => {
    const served = await trial.serve({}, { proxyProtocol: TRUSTED });
    const large = proxyHeader({ ...HEADER, tlvs: [{ type: 0xe0, value: Buffer.alloc(4096 - 16 - 12 - 3, "x") }] });
    const pieces = Array.from(large.subarray(0, 100), (byte) => Buffer.from([byte]));
    const client = say(trial, served, [...pieces, large.subarray(100)]);
    const peer = await served.peer();
    assert.equal(peer.via?.header.tlvs[0]?.value.length, 4065);
    client.closeConnection();
    await trial.allUnbound();
    assert.equal(peer.kind, "peer-closed");
    assert.equal(peer.bytes, 0);
  });

  engine.rule("LOCAL, and a header that names nobody, keep the socket's addresses", async (trial) => {
    const served = await trial.serve({}, { proxyProtocol: TRUSTED });
    const headers: ProxyHeaderOptions[] = [{ local: true }, {}, { version: 1 }];
    for (const [index, header] of headers.entries()) {
      const client = trial.dial(served, {}, { proxyHeader: header });
      const peer = await served.peer(index);
      assert.deepEqual(peer.remoteAddress, client.localAddress);
      assert.deepEqual(peer.via?.address, client.localAddress);
      assert.equal(peer.via?.header.command, header.local === true ? "local" : "proxy");
    }
  });

  engine.ruleOnStreams("a trusted peer that sends no header is closed, and nobody is called", async (trial) => {
    const hostile = [
      "GET / HTTP/1.1\r\n",
      "\x16\x03\x01\x02\0\x01",
      "PROXY TCP4 203.0.113.7 198.51.100.2 5678\r\n",
      `PROXY UNKNOWN ${"x".repeat(200)}`,
      LINE.replace("\r\n", "\n"),
      proxyHeader(HEADER).fill(0x31, 12, 13),
      Buffer.concat([proxyHeader({}).subarray(0, 14), Buffer.from([0xff, 0xff])]),
      proxyHeader({ ...HEADER, checksum: true }).fill(0x7f, 17, 18),
    ];
    for (const bytes of hostile) {
      const served = await trial.serve({}, { proxyProtocol: TRUSTED });
      await refused(trial, served, say(trial, served, [bytes, "more"]));
      await served.listener.close();
    }
  });

  engine.ruleOnStreams("one that is late with its header is closed", async (trial) => {
    for (const pieces of [[], ["PROXY TCP4 203"]]) {
      const served = await trial.serve({}, { proxyProtocol: { ...TRUSTED, timeout: 100 } });
      const began = trial.now();
      await refused(trial, served, say(trial, served, pieces));
      assert.ok(trial.now() - began >= 95, "not before its time");
    }
  });

  engine.ruleOnStreams("one that ends before its header is whole makes no connection", async (trial) => {
    for (const options of [{}, { allowHalfOpen: true }]) {
      for (const pieces of [[], ["PROXY TCP4 203"]]) {
        const served = await trial.serve({}, { proxyProtocol: TRUSTED, ...options });
        const client = say(trial, served, pieces, { connectionCompleted: (me) => me.closeConnectionAfterWriting() });
        await trial.until(() => client.isUnbound, "it has ended");
        await trial.until(() => served.listener.refusedCount === 1, "it is counted");
        assert.equal(served.peers.length, 0);
      }
    }
  });

  engine.ruleOnStreams("an untrusted peer is closed unread", async (trial) => {
    const served = await trial.serve({}, { proxyProtocol: { from: ["10.0.0.0/8", "::1", "192.0.2.1"] } });
    await refused(trial, served, say(trial, served, [LINE]));
  });

  engine.ruleOnStreams(
    "with untrusted: direct it is served as it is, and its header is data",
    async (trial, medium) => {
      const served = await trial.serve({}, { proxyProtocol: { from: "10.0.0.0/8", untrusted: "direct" } });
      const client = trial.dial(served);
      client.sendData(LINE);
      const peer = await served.peer();
      await trial.until(() => peer.text === LINE, "the header, as data");
      assert.deepEqual(peer.remoteAddress, client.localAddress);
      assert.equal(peer.via, undefined);
      if (medium !== "tls") return;
      // Before TLS it is no record.
      const liar = say(trial, served, [LINE]);
      await trial.until(() => liar.isUnbound, "the liar is closed");
      assert.equal((await served.peer(1)).kind, "tls-error");
    },
  );

  engine.rule("before TLS the header comes in clear, with the hello behind it or by itself", async (trial) => {
    trial.over("tls");
    const served = await trial.serve({}, { proxyProtocol: TRUSTED });
    for (const [index, split] of [true, false].entries()) {
      const secret = (me: Recorder) => {
        if (split) me.startTls(clientContext());
        me.sendData("secret");
      };
      if (split) say(trial, served, [LINE], { connectionCompleted: secret });
      else trial.dial(served, { postInit: secret }, { proxyHeader: HEADER });
      const peer = await served.peer(index);
      await trial.until(() => peer.text === "secret", "what TLS carries");
      assert.ok(peer.isSecure);
      assert.deepEqual(peer.remoteAddress, USER);
    }
  });

  engine.rule("startTls in postInit takes what came with the header", async (trial) => {
    const context = serverContext();
    const served = await trial.serve({ postInit: (me) => me.startTls(context) }, { proxyProtocol: TRUSTED });
    const client = trial.dial(served, {}, { proxyHeader: HEADER, tls: clientContext() });
    client.sendData("secret");
    const peer = await served.peer();
    await trial.until(() => peer.text === "secret", "what TLS carries");
  });

  engine.rule("what came with the header waits while the connection is paused", async (trial) => {
    const served = await trial.serve({ postInit: (me) => me.pause() }, { proxyProtocol: TRUSTED });
    const client = say(trial, served, [`${LINE}first `, "second"]);
    const peer = await served.peer();
    await trial.sleep(50);
    assert.equal(peer.bytes, 0);
    peer.resume();
    await trial.until(() => peer.text === "first second", "all of it, in order");
    client.closeConnection();
    await trial.allUnbound();
  });

  engine.rule("a connection that closes in postInit gets nothing", async (trial) => {
    const ends: ((me: Recorder) => void)[] = [
      (me) => me.closeConnection(),
      (me) => me.abort(),
      (me) => {
        me.sendData("bye");
        me.closeConnectionAfterWriting();
      },
    ];
    for (const end of ends) {
      const served = await trial.serve({ postInit: end }, { proxyProtocol: TRUSTED });
      const client = say(trial, served, [`${LINE}unwanted`]);
      const peer = await served.peer();
      await trial.until(() => peer.isUnbound && client.isUnbound, "both have ended");
      assert.equal(peer.bytes, 0);
    }
  });

  engine.rule("a relay that begins in postInit passes on what came with the header", async (trial) => {
    for (const ready of [true, false]) {
      const backend = await trial.serve({ name: "backend" });
      const back = ready ? trial.dial(backend, { name: "back" }) : undefined;
      await back?.opened;
      const served = await trial.serve(
        { postInit: (me) => void relay(me, back ?? trial.dial(backend, { name: "back" })) },
        { proxyProtocol: TRUSTED },
      );
      const client = say(trial, served, [`${LINE}first `, "second ", "third"]);
      const target = await backend.peer();
      await trial.until(() => target.text === "first second third", "all of it, in order");
      target.sendData("answer");
      await trial.until(() => client.text === "answer", "and back");
      client.closeConnection();
      await trial.allUnbound(served.peers[0]!, target);
    }
  });

  engine.rule("for await finds what came with the header", async (trial) => {
    const texts: string[] = [];
    class Reader extends Connection {
      override async postInit() {
        for await (const chunk of this) texts.push(chunk.toString());
      }
    }
    const listener = await trial.reactor.startServer({ host: "127.0.0.1", port: 0, proxyProtocol: TRUSTED }, Reader);
    const client = trial.dial({ host: "127.0.0.1", port: listener.port as number });
    client.sendData(`${LINE}read me`);
    await trial.until(() => texts.join("") === "read me", "it is read");
    client.closeConnection();
  });

  engine.rule("a handler that cannot be made ends the connection, and the listener goes on", async (trial) => {
    const errors: unknown[] = [];
    trial.reactor.onError((error) => errors.push(error));
    let made = 0;
    class Failing extends Connection {
      constructor() {
        super();
        if (made++ === 0) throw new Error("not today");
      }
    }
    const listener = await trial.reactor.startServer({ host: "127.0.0.1", port: 0, proxyProtocol: TRUSTED }, Failing);
    const at = { host: "127.0.0.1", port: listener.port as number };
    const first = trial.dial(at, {}, { proxyHeader: HEADER });
    await trial.until(() => first.isUnbound, "the first is ended");
    assert.equal(errors.length, 1);
    const second = trial.dial(at, {}, { proxyHeader: HEADER });
    await trial.until(() => made === 2 && listener.connectionCount === 1, "the second is served");
    second.closeConnection();
  });

  engine.rule("reconnect begins with the header again, or with another", async (trial) => {
    const served = await trial.serve({}, { proxyProtocol: TRUSTED });
    let life = 0;
    const other: SocketAddress = { family: "IPv6", host: "2001:db8::1", port: 9 };
    const client = trial.dial(
      served,
      {
        unbind: (me) => {
          life++;
          if (life === 1) me.reconnect(served.at as { host: string; port: number });
          if (life === 2)
            me.reconnect({
              ...(served.at as { host: string; port: number }),
              proxyHeader: { ...HEADER, source: other },
            });
        },
      },
      { proxyHeader: HEADER },
    );
    for (const [index, source] of [USER, USER, other].entries()) {
      const peer = await served.peer(index);
      assert.deepEqual(peer.remoteAddress, source);
      client.closeConnection();
      await trial.until(() => life === index + 1, "this life ends");
    }
  });

  engine.rule("who waits with its header takes a place of maxConnections, and gives it back", async (trial) => {
    const served = await trial.serve(
      {},
      { proxyProtocol: { ...TRUSTED, timeout: 150 }, maxConnections: 1, whenFull: "pause" },
    );
    const slow = say(trial, served, ["PROXY"]);
    await slow.opened;
    const next = trial.dial(served, {}, { proxyHeader: HEADER });
    const peer = await served.peer();
    assert.ok(slow.isUnbound, "only when the first was closed");
    assert.deepEqual(peer.remoteAddress, USER);
    next.closeConnection();
  });

  engine.runRule("a stop and a drain end who waits with its header", async (trial) => {
    for (const end of ["stop", "drain"] as const) {
      let client: Recorder | undefined;
      let served: Served | undefined;
      await trial.reactor.run(async () => {
        served = await trial.serve({}, { proxyProtocol: TRUSTED });
        client = trial.dial(served, { name: "silent" }, plain);
        await client.opened;
        await trial.sleep(20);
        if (end === "drain") {
          await trial.reactor.drain(5000);
          assert.equal(client.kind, "peer-closed");
        }
        trial.reactor.stop();
      });
      assert.ok(client?.isUnbound);
      assert.equal(served?.peers.length, 0);
    }
  });

  engine.rule("options that mean nothing are refused before anything is opened", async (trial) => {
    const wrong: [object, RegExp][] = [
      [{}, /proxyProtocol.from must have/],
      [{ from: [] }, /at least one/],
      [{ from: "localhost" }, /proxyProtocol.from must have IP addresses/],
      [{ from: "10.0.0.0/33" }, /must have IP addresses/],
      [{ from: "::1/129" }, /must have IP addresses/],
      [{ from: "::ffff:10.0.0.0/104" }, /must have IP addresses/],
      [{ from: "10.0.0.0/08" }, /must have IP addresses/],
      [{ from: "10.0.0.0/8/8" }, /must have IP addresses/],
      [{ from: "fe80::1%lo" }, /must have IP addresses/],
      [{ from: [7] }, /must have IP addresses/],
      [{ from: "::1", untrusted: true }, /untrusted must be/],
      [{ from: "::1", timeout: -1 }, /proxyProtocol.timeout/],
      [{ from: "::1", misspelt: 1 }, /must not have/],
    ];
    for (const [proxyProtocol, message] of wrong) {
      await assert.rejects(
        trial.reactor.startServer({ port: 0, proxyProtocol: proxyProtocol as ProxyProtocolOptions }, Connection),
        message,
      );
    }
    assert.throws(
      () => trial.reactor.connect({ host: "127.0.0.1", port: 1, proxyHeader: { source: USER } }, Connection),
      /together/,
    );
  });
});
