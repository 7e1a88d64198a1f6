import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { Connection, Reactor, TlsContext, toDuplex, WatchedDescriptor } from "eventmachine";
import { onEveryEngine } from "../support/harness.js";

/** A name that means nothing, which the compiler would have refused. */
const typo = (name: string) => ({ [name]: true }) as Record<string, never>;

onEveryEngine("option names", (engine) => {
  engine.rule(
    "a name that means nothing is refused, with those that mean something, and nothing is made",
    async (trial) => {
      const { reactor } = trial;
      const refused = (name: string, known: string) => ({
        name: "ArgumentError",
        code: "ERR_EM_INVALID_ARGUMENT",
        message: new RegExp(`must not have "${name}"; known are .*\\b${known}\\b`),
      });
      let made = 0;
      class Counted extends Connection {
        constructor() {
          super();
          made++;
        }
      }
      const place = { host: "127.0.0.1", port: 0 };
      const server = () => reactor.startServer({ ...place, ...typo("maxConnection") }, Counted);
      await assert.rejects(server, refused("maxConnection", "maxConnections"));
      await assert.rejects(
        () => reactor.attachServer({ fd: 0, ...typo("backLog") }, Counted),
        refused("backLog", "backlog"),
      );
      const target = { host: "127.0.0.1", port: 9 };
      assert.throws(
        () => reactor.connect({ ...target, ...typo("timeout") }, Counted),
        refused("timeout", "connectTimeout"),
      );
      assert.throws(
        () => reactor.connect({ ...target, keepAlive: { ...typo("delay") } }, Counted),
        refused("delay", "idle"),
      );
      assert.throws(
        () => reactor.bindConnect({ host: "127.0.0.1", ...typo("ports") }, target, Counted),
        refused("ports", "port"),
      );
      assert.throws(() => reactor.attach({ fd: 0, ...typo("nodelay") }, Counted), refused("nodelay", "noDelay"));
      if (engine.has("watch")) {
        const watch = () => reactor.watch({ fd: 0, ...typo("notifyReadable") }, WatchedDescriptor);
        assert.throws(watch, refused("notifyReadable", "notifiesReadable"));
      }
      const duplex = new Duplex({ read() {}, write() {} });
      assert.throws(
        () => reactor.fromDuplex({ duplex, ...typo("allowHalfopen") }, Counted),
        refused("allowHalfopen", "allowHalfOpen"),
      );
      duplex.destroy();
      const { client } = await trial.pair();
      assert.throws(() => toDuplex(client, typo("halfOpen")), refused("halfOpen", "allowHalfOpen"));
      await assert.rejects(client.streamFileData("/etc/hostname", typo("chunks")), refused("chunks", "httpChunks"));
      await assert.rejects(
        reactor.run(() => {}, typo("signal")),
        refused("signal", "signals"),
      );
      assert.throws(() => new Reactor(typo("engin")), refused("engin", "engine"));
      assert.equal(made, 0);
    },
  );

  engine.rule("a misspelt option of TLS is refused wherever it is given", async (trial) => {
    const refused = {
      name: "ArgumentError",
      message: /must not have "requestCert"; known are .*\brequestCertificate\b/,
    };
    const tls = typo("requestCert");
    assert.throws(() => new TlsContext(tls), refused);
    assert.throws(() => new TlsContext({ contexts: { "a.example": tls } }), refused);
    assert.throws(() => new TlsContext({ identities: [typo("certificate") as never] }), {
      name: "ArgumentError",
      message: 'identities[0] must not have "certificate"; known are cert, key, passphrase',
    });
    await assert.rejects(trial.reactor.startServer({ host: "127.0.0.1", port: 0, tls }, Connection), refused);
    assert.throws(() => trial.reactor.connect({ host: "127.0.0.1", port: 9, tls }, Connection), refused);
    const { client } = await trial.pair();
    assert.throws(() => client.startTls(tls), refused);
  });

  engine.rule("an address has a path or a port; one that was told can be given back", async (trial) => {
    const { reactor } = trial;
    const both = { path: "/tmp/never", host: "127.0.0.1", port: 1 };
    const refused = { name: "ArgumentError", message: "address must have a path or a port, not both" };
    assert.throws(() => reactor.connect(both, Connection), refused);
    await assert.rejects(reactor.startServer(both, Connection), refused);
    const listener = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Connection);
    const told = listener.address as { family: "IPv4"; host: string; port: number };
    await reactor.connect(told, Connection).opened;
  });
});
