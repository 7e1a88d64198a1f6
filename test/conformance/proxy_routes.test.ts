import assert from "node:assert/strict";
import {
  type AccessOptions,
  type Peeked,
  type ProxyOutcome,
  type ProxyServer,
  type ProxyServerOptions,
  ProxySession,
  type SessionClass,
} from "eventmachine";
import { onEveryEngine } from "../support/harness.js";
import { clientContext, serverContext } from "../support/pki.js";
import type { Recorder } from "../support/recorder.js";
import type { Trial } from "../support/trial.js";

const LOOPBACK = { host: "127.0.0.1", port: 0 } as const;

interface Running {
  readonly proxy: ProxyServer;
  readonly at: { host: string; port: number };
  readonly outcomes: ProxyOutcome[];
}

/** A proxy before origins of these names, each of which answers with its name. */
async function before(
  trial: Trial,
  names: readonly string[],
  options: Partial<ProxyServerOptions>,
  Session?: SessionClass<[]>,
): Promise<Running> {
  const backends: { name: string; host: string; port: number }[] = [];
  for (const name of names) {
    const isTls = name.startsWith("tls");
    const { at } = await trial.serve(
      { name, receiveData: (me, data) => me.sendData(`${name}:${data.length}`) },
      isTls ? { tls: serverContext() } : {},
    );
    backends.push({ ...(at as { host: string; port: number }), name });
  }
  const outcomes: ProxyOutcome[] = [];
  const proxy = await trial.reactor.startProxy(
    { listen: LOOPBACK, backends, onFinish: (outcome) => outcomes.push(outcome), ...options },
    Session,
  );
  return { proxy, at: { host: "127.0.0.1", port: proxy.port as number }, outcomes };
}

/** Says these pieces and waits for an answer. */
async function ask(trial: Trial, { at }: Running, ...pieces: string[]): Promise<Recorder> {
  const client = trial.dial(at);
  for (const piece of pieces) {
    client.sendData(piece, "latin1");
    await trial.sleep(5);
  }
  await trial.until(() => client.text !== "" || client.isUnbound, "an answer, or the end");
  client.closeConnection();
  return client;
}

async function askTls(
  trial: Trial,
  { at }: Running,
  serverName: string | false,
  alpn: string[] = [],
): Promise<Recorder> {
  const tls = { context: clientContext({ alpn }), serverName, verifyName: "localhost" };
  const client = trial.dial(at, {}, { tls });
  client.sendData("secret");
  await trial.until(() => client.text !== "" || client.isUnbound, "an answer, or the end");
  client.closeConnection();
  return client;
}

onEveryEngine("routes of a proxy", (engine) => {
  engine.rule("the first bytes decide, however they are cut", async (trial) => {
    const running = await before(trial, ["web", "ssh", "socks", "other"], {
      routes: [
        { protocol: ["http1", "http2"], backends: ["web"] },
        { protocol: "ssh", backends: ["ssh"] },
        { protocol: ["socks4", "socks5"], backends: ["socks"] },
      ],
    });
    const request = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
    assert.equal((await ask(trial, running, request)).text, `web:${request.length}`);
    assert.equal(
      (await ask(trial, running, "G", "ET / HTTP/1.1\r\nHo", request.slice(18))).text,
      `web:${request.length}`,
    );
    assert.equal((await ask(trial, running, "SSH-2.0-x\r\n")).text, "ssh:11");
    assert.equal((await ask(trial, running, "S", "S", "H-2.0-x\r\n")).text, "ssh:11");
    assert.equal((await ask(trial, running, "\x05\x01\0")).text, "socks:3");
    assert.equal((await ask(trial, running, "something else\r\n")).text, "other:16");
  });

  engine.rule("TLS passes unopened by the host that it asks for and what it would speak", async (trial) => {
    const running = await before(trial, ["tls-a", "tls-b", "tls-h2", "tls-rest"], {
      routes: [
        { alpn: "h2", backends: ["tls-h2"] },
        { serverName: ["a.example", "www.a.example"], backends: ["tls-a"] },
        { serverName: "*.b.example", backends: ["tls-b"] },
      ],
    });
    assert.equal((await askTls(trial, running, "a.example")).text, "tls-a:6");
    assert.equal((await askTls(trial, running, "WWW.a.example")).text, "tls-a:6");
    assert.equal((await askTls(trial, running, "x.b.example")).text, "tls-b:6");
    assert.equal((await askTls(trial, running, "b.example")).text, "tls-rest:6");
    assert.equal((await askTls(trial, running, "y.x.b.example")).text, "tls-rest:6");
    assert.equal((await askTls(trial, running, false)).text, "tls-rest:6");
    assert.equal((await askTls(trial, running, "a.example", ["h2", "http/1.1"])).text, "tls-h2:6");
  });

  engine.rule("a route may terminate TLS, and the session sees what is inside", async (trial) => {
    const seen: (Peeked | undefined)[] = [];
    class Seeing extends ProxySession {
      override onData(data: Buffer) {
        seen.push(this.peeked);
        return Buffer.concat([data, Buffer.from("!")]);
      }
    }
    const routes = [
      { serverName: "a.example", backends: ["plain"], tls: serverContext() },
      { protocol: "tls" as const, backends: ["tls-other"] },
    ];
    const running = await before(trial, ["plain", "tls-other"], { routes });
    assert.equal((await askTls(trial, running, "a.example")).text, "plain:6");
    assert.equal((await askTls(trial, running, "b.example")).text, "tls-other:6");
    const watched = await before(trial, ["plain"], { routes: routes.slice(0, 1) }, Seeing);
    assert.equal((await askTls(trial, watched, "a.example")).text, "plain:7");
    assert.deepEqual(
      seen.map((peeked) => peeked?.serverName),
      ["a.example"],
    );
  });

  engine.rule("a client that says nothing, too little or too much is routed by that", async (trial) => {
    const running = await before(trial, ["web", "other"], {
      routes: [
        { protocol: "http1", backends: ["web"] },
        { protocol: "none", matches: (bytes) => bytes.length === 0, backends: ["other"] },
      ],
      peekTimeout: 100,
      peekLimit: 200,
    });
    const silent = trial.dial(running.at);
    await trial.until(() => running.proxy.stats().backends[1]?.opened === 1, "its server may speak first");
    silent.sendData("late");
    await trial.until(() => silent.text === "other:4", "and it goes on");
    silent.closeConnection();
    // Neither is HTTP that is whole, and no route takes what is unknown.
    for (const text of ["GET / HTTP/1.1\r\n", `GET / HTTP/1.1\r\nX: ${"y".repeat(300)}`]) {
      const client = await ask(trial, running, text);
      assert.equal(client.text, "");
      await trial.until(() => running.outcomes.at(-1)?.end === "no-backend", "it is nobody's");
      running.outcomes.length = 0;
    }
  });

  engine.rule("a client that ends, or is reset, while it is looked at leaves nothing behind", async (trial) => {
    const running = await before(trial, ["web", "other"], { routes: [{ protocol: "http1", backends: ["web"] }] });
    for (const end of ["closeConnectionAfterWriting", "abort", "halfClose"] as const) {
      const client = trial.dial(running.at);
      await client.opened;
      client.sendData("GET / HT");
      await trial.sleep(20);
      client[end]();
      await trial.until(() => running.outcomes.length === 1, `it is over by ${end}`);
      assert.equal(running.proxy.stats().active, 0);
      running.outcomes.length = 0;
    }
  });

  engine.rule("a predicate that throws ends its client and no other", async (trial) => {
    const errors: unknown[] = [];
    trial.reactor.onError((error) => errors.push(error));
    const running = await before(trial, ["a", "b"], {
      peekTimeout: 100,
      routes: [
        {
          backends: ["a"],
          matches: (bytes) => {
            if (bytes[0] === 0x21) throw new Error("careless");
            return true;
          },
        },
      ],
    });
    assert.equal((await ask(trial, running, "!")).text, "");
    assert.equal((await ask(trial, running, "good\r\n")).text, "a:6");
    assert.equal(errors.length, 1);
  });

  engine.rule("access is by address, by number and by rate", async (trial) => {
    const refusedWith = async (access: AccessOptions, count: number): Promise<number> => {
      const running = await before(trial, ["a"], { access });
      const clients = Array.from({ length: count }, () => trial.dial(running.at));
      for (const client of clients) client.sendData("?");
      await trial.until(() => clients.every((client) => client.text === "a:1" || client.isUnbound), "answers and ends");
      const refused = clients.filter((client) => client.text === "").length;
      for (const client of clients) client.closeConnection();
      await trial.until(() => running.outcomes.length === count, "all are over");
      assert.equal(running.outcomes.filter(({ end }) => end === "refused").length, refused);
      // Those that left have given their places back.
      if (access.rate === undefined && refused < count) {
        assert.equal((await ask(trial, running, "?")).text, "a:1");
      }
      return refused;
    };
    assert.equal(await refusedWith({ allow: ["127.0.0.0/8"] }, 2), 0);
    assert.equal(await refusedWith({ allow: ["10.0.0.0/8", "::1"] }, 2), 2);
    assert.equal(await refusedWith({ deny: "127.0.0.1" }, 2), 2);
    assert.equal(await refusedWith({ allow: ["127.0.0.0/8"], deny: "127.0.0.2" }, 2), 0);
    assert.equal(await refusedWith({ maxPerSource: 3 }, 5), 2);
    assert.equal(await refusedWith({ rate: { connections: 2, per: 60_000 } }, 5), 3);
    assert.equal(await refusedWith({ rate: { connections: 1, per: 60_000, burst: 4 } }, 5), 1);
  });

  engine.rule("a backend that its checks find down gets no clients until they find it up", async (trial) => {
    let isWell = true;
    const sick = await trial.serve({
      receiveData: (me, data) => me.sendData(`${data}` === "PING\n" ? (isWell ? "PONG" : "BUSY") : "sick"),
    });
    const well = await trial.serve({
      receiveData: (me, data) => me.sendData(`${data}` === "PING\n" ? "+PONG\n" : "well"),
    });
    const proxy = await trial.reactor.startProxy({
      listen: LOOPBACK,
      backends: [
        { ...(sick.at as { host: string; port: number }), name: "sick" },
        { ...(well.at as { host: string; port: number }), name: "well" },
      ],
      health: { interval: 20, timeout: 50, rise: 2, fall: 2, send: "PING\n", expect: /PONG/ },
    });
    const running: Running = { proxy, at: { host: "127.0.0.1", port: proxy.port as number }, outcomes: [] };
    const state = () => proxy.stats().backends.map(({ state }) => state);
    const answers = async () => {
      const seen = new Set<string>();
      for (let i = 0; i < 4; i++) seen.add((await ask(trial, running, "?")).text);
      return [...seen].sort();
    };
    assert.deepEqual(await answers(), ["sick", "well"]);
    isWell = false;
    await trial.until(() => state()[0] === "down", "it is down");
    assert.deepEqual(await answers(), ["well"]);
    isWell = true;
    await trial.until(() => state()[0] === "up", "it is up");
    assert.deepEqual(await answers(), ["sick", "well"]);
    await well.listener.close();
    await trial.until(() => state()[1] === "down", "nobody listens there");
    await proxy.close();
  });

  engine.rule("options that mean nothing are refused before anything is opened", async (trial) => {
    const good = { listen: LOOPBACK, backends: ["127.0.0.1:1"] };
    const wrong: [object, RegExp][] = [
      [{ routes: {} }, /routes must be an array/],
      [{ routes: [{ backends: [] }] }, /routes.backends/],
      [{ routes: [{ backends: ["a"], protocol: "ftp" }] }, /routes.protocol/],
      [{ routes: [{ backends: ["a"], serverName: "127.0.0.1" }] }, /routes.serverName/],
      [{ routes: [{ backends: ["a"], host: "*.*.a" }] }, /routes.host/],
      [{ routes: [{ backends: ["a"], tls: {} }] }, /routes.tls/],
      [{ routes: [{ backends: ["a"], misspelt: 1 }] }, /routes must not have/],
      [{ access: { allow: "nobody" } }, /allow must have/],
      [{ access: { maxPerSource: 0 } }, /maxPerSource/],
      [{ access: { rate: {} } }, /rate.connections/],
      [{ access: { misspelt: 1 } }, /access must not have/],
      [{ health: { interval: -1 } }, /health.interval/],
      [{ health: { expect: 7 } }, /health.expect/],
      [{ health: { misspelt: 1 } }, /health must not have/],
    ];
    for (const [options, message] of wrong) {
      await assert.rejects(trial.reactor.startProxy({ ...good, ...options } as ProxyServerOptions), message);
    }
  });
});
