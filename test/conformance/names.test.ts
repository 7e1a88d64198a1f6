import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Connection, reactor as current, DNS, Resolver } from "eventmachine";
import { DatagramRecorder } from "../support/datagrams.js";
import { type EngineSuite, onEveryEngine } from "../support/harness.js";
import { a, NameServer, type Question } from "../support/name_server.js";
import { PATIENCE, until } from "../support/wait.js";

onEveryEngine("names", (engine: EngineSuite) => {
  /** A server that answers everything with 127.0.0.1, after a while. */
  const local = (wait = 0) =>
    NameServer.start(async ({ type }: Question) => {
      await new Promise((resolve) => setTimeout(resolve, wait));
      return type === "A" ? { answers: [a("127.0.0.1")] } : {};
    });
  const silent = () => NameServer.start(() => undefined);
  const over = ({ address }: NameServer) => new Resolver({ nameservers: [address], hosts: false, timeout: 5_000 });

  engine.runRule("one question serves connects, datagrams and the program", async (trial) => {
    await using server = await local(30);
    const reactor = trial.makeReactor({ resolver: over(server) });
    await reactor.run(async () => {
      const { port } = await reactor.startServer({ host: "127.0.0.1", port: 0 }, Connection);
      const sink = await reactor.openDatagramSocket({ host: "127.0.0.1", port: 0 }, DatagramRecorder);
      const sender = await reactor.openDatagramSocket({ host: "127.0.0.1", port: 0 }, DatagramRecorder);
      const at = { host: "www.test", port: (sink.localAddress as { port: number }).port };
      const clients = Array.from({ length: 1_000 }, () => reactor.connect({ host: "WWW.test", port: port as number }));
      for (let count = 0; count < 10; count++) sender.sendDatagram(`${count}`, at);
      const asked = reactor.resolver.resolve("www.test");
      assert.ok(reactor.resolver.stats().waiting > 1_000);
      assert.deepEqual(await asked, ["127.0.0.1"]);
      await Promise.all(clients.map((client) => client.opened));
      await until(() => sink.received.length === 10, "the datagrams");
      sender.sendDatagram("10", at);
      assert.equal(reactor.resolver.stats().waiting, 0, "nothing waits for what is known");
      await until(() => sink.received.length === 11, "one more");
      assert.deepEqual(
        sink.texts,
        Array.from({ length: 11 }, (_, count) => `${count}`),
      );
      assert.deepEqual(server.questions.sort(), ["A www.test", "AAAA www.test"]);
      reactor.stop();
    });
  });

  engine.rule("a resolver of the program's own is asked once for all that wait, and its answer kept", async (trial) => {
    let asked = 0;
    trial.names.set("own.test", async () => {
      asked++;
      await trial.sleep(10);
      return ["127.0.0.1"];
    });
    const served = await trial.serve();
    const { port } = served.at as { port: number };
    for (let round = 0; round < 2; round++) {
      const clients = Array.from({ length: 10 }, () => trial.dial({ host: "own.test", port }));
      await Promise.all(clients.map((client) => client.opened));
    }
    assert.equal(asked, 1);
  });

  engine.runRule("what waits for a name when the reactor stops is told, and keeps no process", async (trial) => {
    await using server = await silent();
    const reactor = trial.makeReactor({ resolver: over(server) });
    const errors: unknown[] = [];
    const waits: Promise<unknown>[] = [];
    let deferrable: unknown;
    await reactor.run(async () => {
      const note = (error: unknown) => void errors.push((error as { code?: string }).code);
      waits.push(reactor.resolver.resolve("www.test").catch(note), reactor.resolver.resolveMx("www.test").catch(note));
      DNS.Resolver.resolve("www.test").errback((error) => {
        deferrable = (error as { code?: string }).code;
      });
      reactor.addTimer(20, () => reactor.stop());
    });
    await Promise.all(waits);
    assert.deepEqual(errors, ["ERR_EM_NOT_RUNNING", "ERR_EM_NOT_RUNNING"]);
    await until(() => deferrable !== undefined, "the errback");
    assert.equal(deferrable, "ERR_EM_NOT_RUNNING");
    await until(() => reactor.resolver.stats().queries === 0, "nothing is under way");
  });

  engine.runRule("two reactors may share a resolver; the stop of one leaves the other's questions", async (trial) => {
    await using server = await local(50);
    const resolver = over(server);
    const [one, two] = [trial.makeReactor({ resolver }), trial.makeReactor({ resolver })];
    const waiting = two.run(async () => {
      assert.deepEqual(await two.resolver.resolve("www.test"), ["127.0.0.1"]);
      two.stop();
    });
    await one.run(() => {
      one.connect({ host: "www.test", port: 1 });
      one.addTimer(5, () => one.stop());
    });
    await waiting;
  });

  engine.rule("DNS.Resolver has the original's shape, and calls back in a turn of the reactor", async (trial) => {
    trial.names.set("www.test", async () => ["192.0.2.1", "2001:db8::1"]);
    const { reactor } = trial;
    const seen: unknown[] = [];
    reactor.schedule(() => {
      DNS.Resolver.resolve("nowhere.test").errback((error) => {
        seen.push((error as { code: string }).code);
        DNS.Resolver.resolve("www.test").callback((addresses) => seen.push(addresses, current() === reactor));
      });
      DNS.Resolver.nameservers = ["192.0.2.53", "127.0.0.1:5353"];
      seen.push(DNS.Resolver.nameserver);
      assert.throws(() => DNS.Resolver.resolve(7 as never), { code: "ERR_EM_INVALID_ARGUMENT" });
    });
    await trial.until(() => seen.length === 4, "both");
    assert.deepEqual(seen, ["192.0.2.53", "ENOTFOUND", ["192.0.2.1", "2001:db8::1"], true]);
    assert.deepEqual(reactor.resolver.nameservers, ["192.0.2.53", "127.0.0.1:5353"]);
    assert.equal((await reactor.resolver.hosts()).size, 0);
  });

  engine.rule("what a callback of DNS.Resolver throws goes to onError", async (trial) => {
    const { reactor } = trial;
    trial.names.set("www.test", async () => ["192.0.2.1"]);
    const errors: unknown[] = [];
    reactor.onError((error) => errors.push(String(error)));
    reactor.schedule(() =>
      DNS.Resolver.resolve("www.test").callback(() => {
        throw new Error("boom");
      }),
    );
    await trial.until(() => errors.length === 1, "the error");
    reactor.onError(undefined);
    assert.deepEqual(errors, ["Error: boom"]);
  });

  engine.runRule("a process does not outlive its reactor for a name server that is silent", async () => {
    await using server = await silent();
    const program = `
      import { Reactor, Resolver } from "eventmachine";
      const resolver = new Resolver({ nameservers: ["${server.address}"], hosts: false, timeout: 60_000 });
      const reactor = new Reactor({ engine: "${engine.name}", resolver });
      await reactor.run(() => {
        reactor.connect({ host: "www.test", port: 1 });
        resolver.resolveTxt("www.test").catch((error) => console.log(error.code));
        reactor.addTimer(50, () => reactor.stop());
      });`;
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program], {
      timeout: PATIENCE,
    });
    assert.equal(stdout.trim(), "ERR_EM_NOT_RUNNING");
  });
});
