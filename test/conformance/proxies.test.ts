import assert from "node:assert/strict";
import {
  type BackendOptions,
  type ProxyLeg,
  type ProxyOutcome,
  type ProxyServer,
  type ProxyServerOptions,
  ProxySession,
  Resolver,
  type SessionClass,
} from "eventmachine";
import { PatternCheck, pattern } from "../support/bytes.js";
import { onEveryEngine } from "../support/harness.js";
import { clientContext, serverContext } from "../support/pki.js";
import type { Recorder } from "../support/recorder.js";
import type { Served, Trial } from "../support/trial.js";

const MiB = 1024 * 1024;
const LOOPBACK = { host: "127.0.0.1", port: 0 } as const;

interface Proxied {
  readonly proxy: ProxyServer;
  readonly outcomes: ProxyOutcome[];
  /** Connects a client through it. */
  dial(script?: Recorder["script"]): Recorder;
}

async function proxied<A extends unknown[]>(
  trial: Trial,
  options: Omit<Partial<ProxyServerOptions>, "backends"> & { backends: readonly (Served | BackendOptions | string)[] },
  Session?: SessionClass<A>,
  ...args: A
): Promise<Proxied> {
  const outcomes: ProxyOutcome[] = [];
  const backends = options.backends.map((each) =>
    typeof each === "object" && "at" in each ? (each.at as { host: string; port: number }) : each,
  );
  const proxy = await trial.reactor.startProxy(
    { listen: LOOPBACK, ...options, backends, onFinish: (outcome) => outcomes.push(outcome) },
    Session as SessionClass<A>,
    ...args,
  );
  const at = { host: "127.0.0.1", port: proxy.port as number };
  return { proxy, outcomes, dial: (script = {}) => trial.dial(at, script, { tls: false }) };
}

/** An origin that answers what it is told with its name before it. */
function named(trial: Trial, name: string): Promise<Served> {
  return trial.serve({
    name,
    receiveData: (me, data) => me.sendData(`${name}:${data}`),
    shutdownRequested: (me) => me.closeConnection(),
  });
}

async function ask(trial: Trial, client: Recorder, question: string, answer: string): Promise<void> {
  const before = client.text.length;
  client.sendData(question);
  await trial.until(
    () => client.text.slice(before) === answer,
    `${question} is answered with ${answer}, not ${client.text}`,
  );
}

onEveryEngine("proxies", (engine) => {
  engine.rule("bytes pass both ways, and ends with them", async (trial) => {
    const origin = await named(trial, "a");
    const { proxy, outcomes, dial } = await proxied(trial, { backends: [origin] });
    const client = dial();
    await ask(trial, client, "hello", "a:hello");
    assert.equal(proxy.stats().active, 1);
    assert.equal(proxy.stats().backends[0]?.active, 1);
    client.closeConnection();
    await trial.until(() => outcomes.length === 1, "it is over");
    const [outcome] = outcomes;
    assert.equal(outcome?.end, "client-closed");
    assert.equal(outcome.backend, `127.0.0.1:${origin.listener.port}`);
    assert.deepEqual([outcome.bytesIn, outcome.bytesOut, outcome.retries], [5, 7, 0]);
    assert.ok(outcome.connectTime! >= 0 && outcome.queueTime! >= 0 && outcome.duration >= outcome.connectTime!);
    const { active, accepted, bytesIn, bytesOut, ends, backends } = proxy.stats();
    assert.deepEqual([active, accepted, bytesIn, bytesOut], [0, 1, 5, 7]);
    assert.deepEqual(ends, { "client-closed": 1 });
    assert.deepEqual(backends, [
      { name: outcome.backend, state: "up", weight: 1, active: 0, opened: 1, failed: 0, bytesIn: 5, bytesOut: 7 },
    ]);
  });

  engine.rule("a half-close passes, and the answer after it", async (trial) => {
    for (const byHand of [false, true]) {
      class Seeing extends ProxySession {
        override onData(data: Buffer) {
          return data;
        }
      }
      const origin = await trial.serve(
        {
          receiveEnd: (me) => {
            me.sendData(`got ${me.text}`);
            me.closeConnectionAfterWriting();
          },
        },
        { allowHalfOpen: true },
      );
      const { outcomes, dial } = await proxied(trial, { backends: [origin] }, byHand ? Seeing : undefined);
      const client = dial();
      client.sendData("all of it");
      client.halfClose();
      await trial.until(() => client.isUnbound, "the client's end");
      assert.equal(client.text, "got all of it");
      await trial.until(() => outcomes.length === 1, "it is over");
      assert.equal(outcomes[0]?.end, "client-closed");
    }
  });

  engine.rule("in bulk every byte arrives, with hooks and without", async (trial) => {
    class Seeing extends ProxySession {
      override onData(data: Buffer) {
        return data;
      }
      override onResponse(data: Buffer) {
        return data;
      }
    }
    for (const Session of [undefined, Seeing]) {
      const there = new PatternCheck();
      const origin = await trial.serve({
        keep: false,
        receiveData: (me, data) => {
          there.take(data);
          if (there.count === 8 * MiB) me.sendData(pattern(8 * MiB, 0));
        },
      });
      const back = new PatternCheck();
      const { dial, outcomes } = await proxied(trial, { backends: [origin] }, Session);
      const client = dial({ keep: false, receiveData: (_, data) => back.take(data) });
      client.sendData(pattern(8 * MiB, 0));
      await trial.until(() => back.count === 8 * MiB, "all of it");
      client.closeConnection();
      await trial.until(() => outcomes.length === 1, "it is over");
      assert.deepEqual([outcomes[0]?.bytesIn, outcomes[0]?.bytesOut], [8 * MiB, 8 * MiB]);
    }
  });

  engine.rule("round robin gives each its turns by its weight", async (trial) => {
    const [a, b] = [await named(trial, "a"), await named(trial, "b")];
    const { dial } = await proxied(trial, {
      backends: [
        { ...(a.at as { host: string; port: number }), name: "a", weight: 2 },
        { ...(b.at as { host: string; port: number }), name: "b" },
      ],
    });
    const seen: string[] = [];
    for (let i = 0; i < 6; i++) {
      const client = dial();
      client.sendData("?");
      await trial.until(() => client.text.length === 3, "an answer");
      seen.push(client.text[0]!);
      client.closeConnection();
    }
    assert.equal(seen.join(""), "abaaba");
  });

  engine.rule("a connect that fails goes on to another backend, and to none at the end", async (trial) => {
    const dead = `127.0.0.1:${await trial.deadPort()}`;
    const origin = await named(trial, "a");
    const { proxy, outcomes, dial } = await proxied(trial, { backends: [dead, origin] });
    for (let i = 0; i < 4; i++) {
      const client = dial();
      await ask(trial, client, "?", "a:?");
      client.closeConnection();
    }
    await trial.until(() => outcomes.length === 4, "all are over");
    assert.equal(Math.max(...outcomes.map(({ retries }) => retries)), 1);
    assert.ok((proxy.stats().backends[0]?.failed ?? 0) >= 1);
    const nobody = await proxied(trial, { backends: [dead] });
    const client = nobody.dial();
    await trial.until(() => client.isUnbound, "it is closed");
    await trial.until(() => nobody.outcomes.length === 1, "it is over");
    assert.equal(nobody.outcomes[0]?.end, "connect-failed");
    assert.equal(nobody.outcomes[0].backend, undefined);
  });

  engine.rule("a backend whose connects fail is left out, tried again, and comes back", async (trial) => {
    const port = await trial.deadPort();
    const origin = await named(trial, "a");
    const { proxy, dial } = await proxied(trial, {
      backends: [`127.0.0.1:${port}`, origin],
      ejection: { failures: 2, time: 150 },
    });
    const visit = async () => {
      const client = dial();
      client.sendData("?");
      await trial.until(() => client.text.length === 3, "an answer");
      client.closeConnection();
      return client.text[0];
    };
    for (let i = 0; i < 8; i++) assert.equal(await visit(), "a");
    assert.equal(proxy.stats().backends[0]?.state, "ejected");
    assert.equal(proxy.stats().backends[0]?.failed, 2);
    const late = await trial.serve(
      { name: "b", receiveData: (me, data) => me.sendData(`b:${data}`) },
      { host: "127.0.0.1", port },
    );
    assert.equal(late.listener.port, port);
    await trial.sleep(200);
    const seen = new Set<string | undefined>();
    for (let i = 0; i < 4; i++) seen.add(await visit());
    assert.deepEqual([...seen].sort(), ["a", "b"]);
    assert.equal(proxy.stats().backends[0]?.state, "up");
  });

  engine.rule("beyond maxConnections a client waits, up to the queue's limit and its time", async (trial) => {
    const origin = await named(trial, "a");
    const at = origin.at as { host: string; port: number };
    const { proxy, outcomes, dial } = await proxied(trial, {
      backends: [{ ...at, maxConnections: 1 }],
      queue: { limit: 1, timeout: 300 },
    });
    const first = dial();
    await ask(trial, first, "1", "a:1");
    const second = dial();
    second.sendData("2");
    await trial.until(() => proxy.stats().waiting === 1, "it waits");
    const third = dial();
    await trial.until(() => third.isUnbound, "there is no room to wait");
    first.closeConnection();
    await trial.until(() => second.text === "a:2", "its turn has come");
    const fourth = dial();
    await trial.until(() => fourth.isUnbound, "its time is over");
    second.closeConnection();
    await trial.until(() => outcomes.length === 4, "all are over");
    assert.deepEqual(outcomes.map(({ end }) => end).sort(), [
      "client-closed",
      "client-closed",
      "queue-full",
      "queue-timeout",
    ]);
  });

  engine.rule("a client that leaves while it waits, or while it is connected, leaves nothing behind", async (trial) => {
    const origin = await named(trial, "a");
    const at = origin.at as { host: string; port: number };
    const { proxy, outcomes, dial } = await proxied(trial, { backends: [{ ...at, maxConnections: 1 }] });
    const first = dial();
    await ask(trial, first, "1", "a:1");
    const second = dial();
    await trial.until(() => proxy.stats().waiting === 1, "it waits");
    second.abort();
    first.closeConnection();
    await trial.until(() => outcomes.length === 2, "both are over");
    assert.equal(proxy.stats().waiting, 0);
    assert.equal(proxy.stats().backends[0]?.active, 0);
    const silent = await trial.silentPort();
    const stuck = await proxied(trial, { backends: [`127.0.0.1:${silent}`] });
    const client = stuck.dial();
    await trial.until(() => stuck.proxy.stats().backends[0]?.active === 1, "it is connected");
    client.abort();
    await trial.until(() => stuck.outcomes.length === 1, "it is over");
    assert.equal(stuck.outcomes[0]?.end, "client-reset");
    assert.deepEqual(
      [stuck.proxy.stats().backends[0]?.active, stuck.proxy.stats().backends[0]?.failed],
      [0, 0],
      "that says nothing of the backend",
    );
  });

  engine.rule("resets pass, either way", async (trial) => {
    const origin = await named(trial, "a");
    const { outcomes, dial } = await proxied(trial, { backends: [origin] });
    const one = dial();
    await ask(trial, one, "1", "a:1");
    one.abort();
    await trial.until(() => origin.peers[0]?.isUnbound === true, "the origin's end");
    assert.equal(origin.peers[0]?.kind, "peer-reset");
    const two = dial();
    await ask(trial, two, "2", "a:2");
    origin.peers[1]?.abort();
    await trial.until(() => two.isUnbound, "the client's end");
    assert.equal(two.kind, "peer-reset");
    await trial.until(() => outcomes.length === 2, "both are over");
    assert.deepEqual(
      outcomes.map(({ end }) => end),
      ["client-reset", "backend-reset"],
    );
  });

  engine.rule("what is idle for too long ends", async (trial) => {
    const origin = await trial.serve();
    const { outcomes, dial } = await proxied(trial, { backends: [origin], idleTimeout: 100 });
    const client = dial();
    client.sendData("and then silence");
    await trial.until(() => client.isUnbound && outcomes.length === 1, "it is over");
    assert.equal(outcomes[0]?.end, "idle-timeout");
  });

  engine.rule("hooks see what passes, change it, hold it and drop it", async (trial) => {
    const log: string[] = [];
    class Shouting extends ProxySession {
      override onConnect() {
        log.push(`connect ${this.client.remoteAddress?.family}`);
      }
      override onData(data: Buffer) {
        const text = data.toString();
        if (!text.endsWith("\n")) return "hold";
        log.push(`data ${JSON.stringify(text)}`);
        return text === "secret\n" ? "drop" : Buffer.from(text.toUpperCase());
      }
      override onResponse(data: Buffer, leg: ProxyLeg) {
        log.push(`response ${data} of ${leg.name}`);
        return Buffer.from(`<${data}>`);
      }
      override onBackendConnect(leg: ProxyLeg) {
        log.push(`backend ${leg.name} ${leg.isShadow}`);
      }
      override onFinish({ end }: ProxyOutcome) {
        log.push(`finish ${end}`);
      }
    }
    const origin = await trial.serve({ receiveData: (me, data) => me.sendData(`got ${data.toString().trim()}`) });
    const at = origin.at as { host: string; port: number };
    const { outcomes, dial } = await proxied(trial, { backends: [{ ...at, name: "o" }] }, Shouting);
    const client = dial();
    client.sendData("one");
    await trial.sleep(30);
    assert.equal(origin.peers.length, 0, "no backend before there is something for it");
    await ask(trial, client, " two\n", "<got ONE TWO>");
    client.sendData("secret\n");
    await trial.until(() => log.at(-1) === 'data "secret\\n"', "it is seen");
    await ask(trial, client, "three\n", "<got THREE>");
    client.closeConnection();
    await trial.until(() => outcomes.length === 1, "it is over");
    assert.deepEqual(log, [
      "connect IPv4",
      'data "one two\\n"',
      "backend o false",
      "response got ONE TWO of o",
      'data "secret\\n"',
      'data "three\\n"',
      "response got THREE of o",
      "finish client-closed",
    ]);
    assert.equal(origin.peers[0]?.text, "ONE TWO\nTHREE\n");
  });

  engine.rule("a hook chooses the backend by what it sees, and splices", async (trial) => {
    let calls = 0;
    class Router extends ProxySession {
      override onData(data: Buffer) {
        calls++;
        this.useBackend(data.toString("latin1", 0, 1));
        this.splice();
        return data;
      }
    }
    const [a, b] = [await named(trial, "a"), await named(trial, "b")];
    const { dial, outcomes } = await proxied(
      trial,
      {
        backends: [
          { ...(a.at as { host: string; port: number }), name: "a" },
          { ...(b.at as { host: string; port: number }), name: "b" },
        ],
      },
      Router,
    );
    for (const name of ["b", "a", "b"]) {
      const client = dial();
      await ask(trial, client, name, `${name}:${name}`);
      await ask(trial, client, "more", `${name}:more`);
      client.closeConnection();
    }
    assert.equal(calls, 3, "the rest is not seen");
    const lost = dial();
    lost.sendData("c");
    await trial.until(() => lost.isUnbound && outcomes.length === 4, "there is no such backend");
    assert.equal(outcomes[3]?.end, "no-backend");
  });

  engine.rule("an async onConnect is waited for, and may splice", async (trial) => {
    class Slow extends ProxySession {
      override async onConnect() {
        await trial.sleep(50);
        this.useBackend("b");
        this.splice();
      }
      override onData(): never {
        throw new Error("it was spliced");
      }
    }
    const [a, b] = [await named(trial, "a"), await named(trial, "b")];
    const { dial } = await proxied(
      trial,
      {
        backends: [
          { ...(a.at as { host: string; port: number }), name: "a" },
          { ...(b.at as { host: string; port: number }), name: "b" },
        ],
      },
      Slow,
    );
    const client = dial();
    await ask(trial, client, "early", "b:early");
    client.closeConnection();
  });

  engine.rule("a shadow is sent what passes, its answers are shown, and it holds nobody up", async (trial) => {
    const seen: string[] = [];
    const shadow = await named(trial, "s");
    const dead = `127.0.0.1:${await trial.deadPort()}`;
    class Duplex extends ProxySession {
      override onConnect() {
        this.shadow(`127.0.0.1:${shadow.listener.port}`);
        this.shadow(dead);
      }
      override onResponse(data: Buffer, leg: ProxyLeg) {
        seen.push(`${leg.isShadow ? "shadow" : "real"} ${data}`);
        return data;
      }
    }
    const origin = await named(trial, "a");
    const { dial, outcomes } = await proxied(trial, { backends: [origin] }, Duplex);
    const client = dial();
    await ask(trial, client, "1", "a:1");
    await trial.until(() => seen.length === 2, "both answers");
    assert.deepEqual(seen.sort(), ["real a:1", "shadow s:1"]);
    shadow.peers[0]?.abort();
    await ask(trial, client, "2", "a:2");
    client.closeConnection();
    await trial.until(() => outcomes.length === 1, "it is over");
  });

  engine.rule("a hook that throws, returns nothing, or holds too much ends its client and no other", async (trial) => {
    const errors: unknown[] = [];
    trial.reactor.onError((error) => errors.push(error));
    class Careless extends ProxySession {
      override onData(data: Buffer) {
        const text = data.toString("latin1");
        if (text === "throw") throw new Error("careless");
        if (text === "nothing") return undefined as never;
        return text.startsWith("hold") ? "hold" : data;
      }
    }
    const origin = await named(trial, "a");
    const { dial, outcomes } = await proxied(trial, { backends: [origin] }, Careless);
    const good = dial();
    await ask(trial, good, "1", "a:1");
    for (const [bytes, end] of [
      ["throw", "hook-failed"],
      ["nothing", "hook-failed"],
      [`hold${"x".repeat(70_000)}`, "hold-limit"],
    ] as const) {
      const before = outcomes.length;
      const client = dial();
      client.sendData(bytes);
      await trial.until(() => client.isUnbound && outcomes.length > before, `the end of ${bytes.slice(0, 10)}`);
      assert.equal(outcomes.at(-1)?.end, end);
    }
    assert.equal(errors.length, 2);
    await ask(trial, good, "2", "a:2");
    good.closeConnection();
  });

  engine.rule("TLS is terminated, originated, or both", async (trial) => {
    for (const [front, back] of [
      [true, false],
      [false, true],
      [true, true],
    ] as const) {
      trial.over(back ? "tls" : "tcp");
      const origin = await named(trial, "a");
      const at = origin.at as { host: string; port: number };
      const { proxy, outcomes } = await proxied(trial, {
        listen: { ...LOOPBACK, ...(front ? { tls: serverContext() } : {}) },
        backends: [{ ...at, ...(back ? { tls: clientContext() } : {}) }],
      });
      const client = trial.dial(
        { host: "127.0.0.1", port: proxy.port as number },
        {},
        { tls: front ? clientContext() : false },
      );
      await ask(trial, client, "secret", "a:secret");
      client.closeConnection();
      await trial.until(() => outcomes.length === 1, "it is over");
      assert.equal(outcomes[0]?.end, "client-closed");
    }
  });

  engine.rule("a backend whose certificate is not trusted, or another's, is sent nothing", async (trial) => {
    const origin = await trial.over("tls").serve({});
    const at = origin.at as { host: string; port: number };
    for (const tls of [true, { context: clientContext(), verifyName: "other.example" }] as const) {
      const { proxy, outcomes } = await proxied(trial, { backends: [{ ...at, tls }], retries: 0 });
      const client = trial.dial({ host: "127.0.0.1", port: proxy.port as number }, {}, { tls: false });
      client.sendData("secret");
      await trial.allUnbound(client);
      await trial.until(() => outcomes.length === 1, "it is over");
      assert.equal(outcomes[0]?.end, "connect-failed");
      assert.equal(client.bytes, 0);
    }
    assert.ok(origin.peers.every(({ bytes }) => bytes === 0));
  });

  engine.rule("PROXY headers come in and go out", async (trial) => {
    const source = { family: "IPv4", host: "203.0.113.7", port: 5678 } as const;
    const destination = { family: "IPv4", host: "198.51.100.2", port: 443 } as const;
    const proxyProtocol = { from: "127.0.0.0/8" };
    for (const version of [1, 2] as const) {
      const origin = await trial.serve({ receiveData: (me, data) => me.sendData(data) }, { proxyProtocol });
      const at = origin.at as { host: string; port: number };
      const { proxy, outcomes } = await proxied(trial, {
        listen: { ...LOOPBACK, proxyProtocol },
        backends: [{ ...at, proxyProtocol: version }],
      });
      const client = trial.dial(
        { host: "127.0.0.1", port: proxy.port as number },
        {},
        { proxyHeader: { source, destination } },
      );
      await ask(trial, client, "who am I", "who am I");
      assert.deepEqual(origin.peers[0]?.remoteAddress, source);
      assert.deepEqual(origin.peers[0].via?.header.destination, destination);
      client.closeConnection();
      await trial.until(() => outcomes.length === 1, "it is over");
      assert.deepEqual(outcomes[0]?.client, source);
    }
  });

  engine.rule("backends change while it runs, and connections to those that go live on", async (trial) => {
    const [a, b] = [await named(trial, "a"), await named(trial, "b")];
    const { proxy, dial } = await proxied(trial, { backends: [a] });
    const old = dial();
    await ask(trial, old, "1", "a:1");
    proxy.setBackends([`127.0.0.1:${b.listener.port}`]);
    const client = dial();
    await ask(trial, client, "2", "b:2");
    await ask(trial, old, "3", "a:3");
    assert.throws(() => proxy.setBackends(["nonsense"]), /must be host:port/);
    assert.throws(() => proxy.setBackends(["127.0.0.1:1", "127.0.0.1:1"]), /two backends/);
    assert.equal(proxy.stats().backends.length, 1);
    for (const each of [old, client]) each.closeConnection();
  });

  let addresses: string[] | undefined;
  const lookup = async (): Promise<string[]> => {
    if (addresses === undefined) throw Object.assign(new Error("no server answers"), { code: "EAI_AGAIN" });
    return addresses;
  };
  // Nothing is kept: a change is to be seen at once.
  const resolver = new Resolver({ lookup, cacheSize: 0 });

  engine.rule(
    "backends that a name has come and go with its addresses",
    async (trial) => {
      const a = await named(trial, "a");
      const port = a.listener.port as number;
      const b = await trial.serve(
        { name: "b", receiveData: (me, data) => me.sendData(`b:${data}`) },
        { host: "127.0.0.2", port },
      );
      assert.equal(b.listener.port, port);
      addresses = ["127.0.0.1"];
      const { proxy, dial } = await proxied(trial, {
        backends: [],
        discover: { host: "pool.test", port, interval: 20 },
      });
      const names = () => proxy.stats().backends.map(({ name }) => name);
      assert.deepEqual(names(), [`127.0.0.1:${port}`], "the first answer is there when it has started");
      const client = dial();
      await ask(trial, client, "?", "a:?");
      addresses = ["127.0.0.2", "127.0.0.1", "127.0.0.2"];
      await trial.until(() => names().length === 2, "another address");
      addresses = undefined;
      await trial.sleep(60);
      assert.equal(names().length, 2, "what cannot be answered changes nothing");
      addresses = ["127.0.0.2"];
      await trial.until(() => names().join() === `127.0.0.2:${port}`, "the first is gone");
      const other = dial();
      await ask(trial, other, "?", "b:?");
      await ask(trial, client, "!", "a:!");
      proxy.setBackends([`127.0.0.2:${port}`, `127.0.0.1:${port}`]);
      await trial.until(() => names().length === 2, "one that is named too is one");
      for (const each of [client, other]) each.closeConnection();
      await proxy.close();
      await assert.rejects(
        trial.reactor.startProxy({ listen: LOOPBACK, backends: [], discover: { host: "a" } }),
        /discover.port/,
      );
      await assert.rejects(
        trial.reactor.startProxy({ listen: LOOPBACK, backends: [], discover: { service: "_a._tcp.b", port: 1 } }),
        /not both/,
      );
    },
    { reactor: { resolver } },
  );

  engine.runRule("a stop and a drain end it, and everybody is told why", async (trial) => {
    const ends: (string | undefined)[] = [];
    for (const how of ["stop", "drain"] as const) {
      await trial.reactor.run(async () => {
        const origin = await named(trial, "a");
        const { dial } = await proxied(trial, { backends: [origin] });
        const proxy = await trial.reactor.startProxy({
          listen: LOOPBACK,
          backends: [origin.at as { host: string; port: number }],
          onFinish: ({ end }) => ends.push(end),
        });
        const client = trial.dial({ host: "127.0.0.1", port: proxy.port as number });
        await ask(trial, client, "1", "a:1");
        const other = dial({ shutdownRequested: (me) => me.closeConnection() });
        await ask(trial, other, "1", "a:1");
        if (how === "drain") await trial.reactor.drain(200);
        trial.reactor.stop();
      });
    }
    assert.equal(ends[0], "stopped");
    assert.equal(ends.length, 2);
  });

  engine.rule("options that mean nothing are refused before anything is opened", async (trial) => {
    const good = { listen: LOOPBACK, backends: ["127.0.0.1:1"] };
    const wrong: [object, RegExp][] = [
      [{ ...good, misspelt: 1 }, /must not have "misspelt"/],
      [{ ...good, backends: "127.0.0.1:1" }, /backends must be an array/],
      [{ ...good, backends: [":1"] }, /must have a host/],
      [{ ...good, backends: [{ host: "127.0.0.1" }] }, /backend.port/],
      [{ ...good, backends: [{ host: "127.0.0.1", port: 1, path: "/a" }] }, /not both/],
      [{ ...good, backends: [{ host: "127.0.0.1", port: 1, weight: 0 }] }, /backend.weight/],
      [{ ...good, backends: [{ host: "127.0.0.1", port: 1, proxyProtocol: 3 }] }, /proxyProtocol must be 1 or 2/],
      [{ ...good, balance: "best" }, /balance must be one of/],
      [{ ...good, ejection: { share: 2 } }, /ejection.share/],
      [{ ...good, queue: { misspelt: 1 } }, /queue must not have/],
      [{ ...good, retries: -1 }, /retries/],
      [{ ...good, onFinish: 1 }, /onFinish/],
      [{ ...good, listen: 7 }, /listen must be/],
    ];
    for (const [options, message] of wrong) {
      await assert.rejects(trial.reactor.startProxy(options as ProxyServerOptions), message);
    }
    await assert.rejects(trial.reactor.startProxy(good, class {} as never), { code: "ERR_EM_INVALID_HANDLER" });
  });
});
