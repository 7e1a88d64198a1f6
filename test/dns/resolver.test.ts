import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, describe, it } from "node:test";
import { Resolver, type ResolverOptions } from "eventmachine";
import {
  type Answer,
  a,
  aaaa,
  caa,
  cname,
  mx,
  NameServer,
  NXDOMAIN,
  ptr,
  type Question,
  REFUSED,
  type ResourceRecord,
  SERVFAIL,
  srv,
  txt,
} from "../support/name_server.js";
import { until, within } from "../support/wait.js";

const started: NameServer[] = [];
const folder = mkdtempSync(join(tmpdir(), "em-names-"));
const hostsPath = join(folder, "hosts");

async function serverOf(answer: (question: Question) => Answer | Promise<Answer>): Promise<NameServer> {
  const server = await NameServer.start(answer);
  started.push(server);
  return server;
}

/** Answers from a table of `TYPE name`; a name with nothing of that type is there, others are not. */
function zone(records: Readonly<Record<string, readonly ResourceRecord[]>>): (question: Question) => Answer {
  const names = new Set(Object.keys(records).map((key) => key.split(" ")[1]));
  return ({ type, name }) => {
    const answers = records[`${type} ${name}`];
    return answers !== undefined ? { answers } : names.has(name) ? {} : { rcode: NXDOMAIN };
  };
}

function asking(server: NameServer, options: ResolverOptions = {}): Resolver {
  return new Resolver({ nameservers: [server.address], hosts: false, timeout: 500, tries: 2, ...options });
}

/** A clock that stands still until it is moved. */
function stillClock() {
  let time = 1_000;
  return {
    now: () => time,
    addTimer: () => assert.fail("the resolver needs no timers"),
    nextTick: () => assert.fail("the resolver needs no ticks"),
    pass: (ms: number) => {
      time += ms;
    },
  };
}

afterEach(async () => {
  for (const server of started.splice(0)) await server.stop();
});

after(() => rmSync(folder, { recursive: true }));

describe("what a Resolver finds", () => {
  it("is the addresses of both families, and each kind of record", async () => {
    const server = await serverOf(
      zone({
        "A www.test": [a("192.0.2.1"), a("192.0.2.2")],
        "AAAA www.test": [aaaa("2001:db8::1")],
        "SRV _echo._tcp.test": [srv(20, 0, 7001, "b.test"), srv(10, 0, 7000, "a.test")],
        "MX www.test": [mx(20, "second.test"), mx(10, "first.test")],
        "TXT www.test": [txt("v=spf1 ", "-all"), txt("other")],
        "PTR 1.2.0.192.in-addr.arpa": [ptr("www.test")],
        "CAA www.test": [caa("issue", "ca.test")],
      }),
    );
    const resolver = asking(server);
    assert.deepEqual(new Set(await resolver.resolve("WWW.test")), new Set(["192.0.2.1", "192.0.2.2", "2001:db8::1"]));
    assert.deepEqual(await resolver.resolve("www.test", { family: 6 }), ["2001:db8::1"]);
    assert.deepEqual(await resolver.resolve4("www.test"), [
      { address: "192.0.2.1", ttl: 60 },
      { address: "192.0.2.2", ttl: 60 },
    ]);
    assert.deepEqual(await resolver.resolve6("www.test"), [{ address: "2001:db8::1", ttl: 60 }]);
    assert.equal((await resolver.resolveSrv("_echo._tcp.test")).length, 2);
    assert.deepEqual(await resolver.resolveService("_echo._tcp.test"), [
      { host: "a.test", port: 7000 },
      { host: "b.test", port: 7001 },
    ]);
    assert.deepEqual(await resolver.resolveMx("www.test"), [
      { priority: 10, exchange: "first.test" },
      { priority: 20, exchange: "second.test" },
    ]);
    assert.deepEqual(await resolver.resolveTxt("www.test"), [["v=spf1 ", "-all"], ["other"]]);
    assert.deepEqual(await resolver.resolvePtr("1.2.0.192.in-addr.arpa"), ["www.test"]);
    assert.deepEqual(await resolver.reverse("192.0.2.1"), ["www.test"]);
    assert.deepEqual(
      (await resolver.resolveCaa("www.test")).map((each) => ({ ...each })),
      [{ critical: 0, issue: "ca.test" }],
    );
  });

  it("is an address itself, in its one spelling, and no question", async () => {
    const server = await serverOf(() => assert.fail("asked"));
    const resolver = asking(server);
    assert.deepEqual(await resolver.resolve("0x7f.1"), ["127.0.0.1"]);
    assert.deepEqual(await resolver.resolve("[2001:DB8::1]"), ["2001:db8::1"]);
    await assert.rejects(resolver.resolve("127.0.0.1", { family: 6 }), { code: "ENODATA" });
  });

  it("is loopback for localhost and what is below it, and no question", async () => {
    const server = await serverOf(() => assert.fail("asked"));
    const resolver = asking(server);
    for (const name of ["localhost", "LOCALHOST.", "a.b.localhost"]) {
      assert.deepEqual(await resolver.resolve(name), ["::1", "127.0.0.1"]);
      assert.deepEqual(await resolver.resolve4(name), [{ address: "127.0.0.1", ttl: 0 }]);
      await assert.rejects(resolver.resolveMx(name), { code: "ENODATA" });
    }
    assert.deepEqual(await resolver.resolve("localhost", { family: 4 }), ["127.0.0.1"]);
  });

  it("is nothing where there is nothing, with a code", async () => {
    const server = await serverOf(zone({ "A four.test": [a("192.0.2.1")] }));
    const resolver = asking(server);
    await assert.rejects(resolver.resolve("nowhere.test"), {
      name: "EventMachineError",
      code: "ENOTFOUND",
      address: "nowhere.test",
    });
    await assert.rejects(resolver.resolve("four.test", { family: 6 }), { code: "ENODATA" });
    await assert.rejects(resolver.resolveTxt("four.test"), { code: "ENODATA" });
    assert.deepEqual(await resolver.resolve("four.test"), ["192.0.2.1"]);
  });

  it("is what the name servers know that answer", async () => {
    const refusing = await serverOf(() => ({ rcode: REFUSED }));
    const failing = await serverOf(() => ({ rcode: SERVFAIL }));
    const silent = await serverOf(() => undefined);
    const good = await serverOf(zone({ "A www.test": [a("192.0.2.1")] }));
    const resolver = asking(good, { timeout: 100 });
    resolver.nameservers = [refusing, failing, silent, good].map(({ address }) => address);
    assert.deepEqual(await resolver.resolve("www.test", { family: 4 }), ["192.0.2.1"]);
    assert.ok(refusing.asked.length > 0 && failing.asked.length > 0 && silent.asked.length > 0, "in their order");
    resolver.nameservers = [silent.address];
    const before = silent.asked.length;
    await assert.rejects(resolver.resolve("www.test", { family: 4 }), { code: "ETIMEOUT" });
    assert.equal(silent.asked.length - before, 2, "as often as it says");
    assert.deepEqual(resolver.nameservers, [silent.address]);
  });

  it("is looked for below the domains to search", async () => {
    const server = await serverOf(zone({ "A www.corp.test": [a("192.0.2.1")], "A www.lab.test": [a("192.0.2.2")] }));
    const resolver = asking(server, { search: ["lab.test", "corp.test"] });
    assert.deepEqual(await resolver.resolve("www", { family: 4 }), ["192.0.2.2"]);
    assert.deepEqual(server.questions, ["A www.lab.test"]);
    await assert.rejects(resolver.resolve("www.", { family: 4 }), { code: "ENOTFOUND" });
    assert.deepEqual(await resolver.resolve("www.corp.test", { family: 4 }), ["192.0.2.1"]);
  });

  it("is not looked for below a domain where that makes no name", async () => {
    const long = Array.from({ length: 4 }, () => "a".repeat(55)).join(".");
    const server = await serverOf(zone({ [`A ${long}`]: [a("192.0.2.1")], [`A ${"b".repeat(60)}.c.test`]: [] }));
    const resolver = asking(server, { search: [`${"d".repeat(50)}.test`, "c.test"] });
    assert.deepEqual(await resolver.resolve(long, { family: 4 }), ["192.0.2.1"]);
    await assert.rejects(resolver.resolve(`${long}.x`, { family: 4 }), { code: "ENOTFOUND" });
    assert.deepEqual(server.questions.slice(1), [`A ${long}.x`, `A ${long}.x.c.test`]);
  });

  it("is ENODATA where an answer has nothing of the kind", async () => {
    const server = await serverOf(() => ({ answers: [cname("other.test")] }));
    const resolver = asking(server);
    for (const ask of [
      () => resolver.resolve("www.test"),
      () => resolver.resolve4("www.test"),
      () => resolver.resolveSrv("www.test"),
      () => resolver.resolveService("www.test"),
      () => resolver.resolveMx("www.test"),
      () => resolver.resolveTxt("www.test"),
      () => resolver.resolvePtr("www.test"),
      () => resolver.resolveCaa("www.test"),
      () => resolver.reverse("192.0.2.1"),
    ]) {
      await assert.rejects(ask(), { code: "ENODATA" }, String(ask));
    }
  });

  it("does not wait for the family that does not come", async () => {
    const server = await serverOf((question) => (question.type === "A" ? { answers: [a("192.0.2.1")] } : undefined));
    const resolver = asking(server, { timeout: 20_000, tries: 1 });
    assert.deepEqual(await within(resolver.resolve("www.test"), "one family"), ["192.0.2.1"]);
    await until(() => resolver.stats().queries === 0, "nothing is left under way");
  });

  it("is in the order of chance and weight for a service", async () => {
    const server = await serverOf(
      zone({
        "SRV _a._tcp.test": [srv(1, 99, 1, "heavy.test"), srv(1, 1, 2, "light.test"), srv(0, 0, 3, "first.test")],
        "SRV _none._tcp.test": [srv(0, 0, 0, ".")],
      }),
    );
    const resolver = asking(server);
    let heavy = 0;
    for (let round = 0; round < 200; round++) {
      const [first, second, third] = await resolver.resolveService("_a._tcp.test");
      assert.equal(first?.host, "first.test");
      assert.deepEqual(new Set([second?.host, third?.host]), new Set(["heavy.test", "light.test"]));
      if (second?.host === "heavy.test") heavy++;
    }
    assert.ok(heavy > 150, `${heavy} of 200`);
    await assert.rejects(resolver.resolveService("_none._tcp.test"), { code: "ENODATA" });
  });
});

describe("a Resolver's memory", () => {
  it("asks once for a thousand who ask", async () => {
    const server = await serverOf(async ({ type }) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return type === "A" ? { answers: [a("192.0.2.1")] } : {};
    });
    const resolver = asking(server, { timeout: 5_000 });
    const all = await Promise.all(Array.from({ length: 1_000 }, () => resolver.resolve("www.test")));
    assert.ok(all.every(([address]) => address === "192.0.2.1"));
    assert.deepEqual(server.questions.sort(), ["A www.test", "AAAA www.test"]);
    assert.deepEqual(resolver.stats().waiting, 0);
  });

  it("keeps an address for its time to live, which its alias may shorten", async () => {
    const clock = stillClock();
    let count = 0;
    const server = await serverOf(({ name }) => {
      count++;
      if (name === "alias.test")
        return { answers: [cname("www.test", 2), { ...a("192.0.2.9", 30), name: "www.test" }] };
      return { answers: [a(`192.0.2.${count}`, 30), a("192.0.2.200", 3_000_000)] };
    });
    const resolver = asking(server, { clock });
    const first = () => resolver.resolve4("www.test").then(([record]) => record?.address);
    assert.equal(await first(), "192.0.2.1");
    clock.pass(29_999);
    assert.equal(await first(), "192.0.2.1");
    clock.pass(1);
    assert.equal(await first(), "192.0.2.2");
    count = 10;
    await resolver.resolve("alias.test", { family: 4 });
    clock.pass(1_999);
    await resolver.resolve("alias.test", { family: 4 });
    assert.equal(count, 11);
    clock.pass(1);
    await resolver.resolve("alias.test", { family: 4 });
    assert.equal(count, 12);
  });

  it("keeps nothing that has no time to live, and nothing for longer than an hour", async () => {
    const clock = stillClock();
    const server = await serverOf(({ name }) => ({ answers: [a("192.0.2.1", name === "now.test" ? 0 : 2 ** 31 - 1)] }));
    const resolver = asking(server, { clock });
    for (let round = 0; round < 3; round++) await resolver.resolve("now.test", { family: 4 });
    assert.equal(server.asked.length, 3);
    await resolver.resolve("long.test", { family: 4 });
    clock.pass(3_599_999);
    await resolver.resolve("long.test", { family: 4 });
    assert.equal(server.asked.length, 4);
    clock.pass(1);
    await resolver.resolve("long.test", { family: 4 });
    assert.equal(server.asked.length, 5);
  });

  it("takes a time to live with its highest bit set for none", async () => {
    const server = await serverOf(({ type }) => ({
      answers: type === "A" ? [a("192.0.2.1", 0x80000000), a("192.0.2.2", 0xffffffff)] : [aaaa("2001:db8::1", 2 ** 31)],
    }));
    const resolver = asking(server);
    assert.deepEqual(await resolver.resolve4("www.test"), [
      { address: "192.0.2.1", ttl: 0 },
      { address: "192.0.2.2", ttl: 0 },
    ]);
    assert.deepEqual(await resolver.resolve6("www.test"), [{ address: "2001:db8::1", ttl: 0 }]);
    assert.equal(resolver.stats().cached, 0);
    await resolver.resolve("www.test");
    assert.equal(resolver.stats().cached, 0);
  });

  it("keeps other records for ten seconds, names that are not there for five, and failures for one", async () => {
    const clock = stillClock();
    const server = await serverOf(({ name, type }) => {
      if (name === "broken.test") return { rcode: SERVFAIL };
      return type === "TXT" ? { answers: [txt("x")] } : { rcode: NXDOMAIN };
    });
    const resolver = asking(server, { clock, tries: 1 });
    const cases: readonly [() => Promise<unknown>, number][] = [
      [() => resolver.resolveTxt("www.test"), 10_000],
      [() => assert.rejects(resolver.resolve4("www.test"), { code: "ENOTFOUND" }), 5_000],
      [() => assert.rejects(resolver.resolve4("broken.test"), { code: "ESERVFAIL" }), 1_000],
    ];
    for (const [ask, life] of cases) {
      await ask();
      const asked = server.asked.length;
      clock.pass(life - 1);
      await ask();
      assert.equal(server.asked.length, asked);
      clock.pass(1);
      await ask();
      assert.ok(server.asked.length > asked);
    }
  });

  it("is bounded in what it keeps, and in what it asks", async () => {
    const server = await serverOf(() => ({ answers: [a("192.0.2.1")] }));
    const resolver = asking(server, { cacheSize: 8, queryLimit: 16 });
    const many = Array.from({ length: 64 }, (_, index) => resolver.resolve4(`n${index}.test`));
    const outcomes = await Promise.allSettled(many);
    const refused = outcomes.filter((each) => each.status === "rejected");
    assert.equal(refused.length, 48);
    assert.equal(refused[0]?.reason.code, "ERR_EM_NAME_QUERY_LIMIT");
    assert.equal(resolver.stats().cached, 8);
    assert.deepEqual(await resolver.resolve("n63.test", { family: 4 }), ["192.0.2.1"], "a refusal is not kept");
    const none = asking(server, { cacheSize: 0 });
    const before = server.asked.length;
    await none.resolve4("www.test");
    await none.resolve4("www.test");
    assert.equal(server.asked.length - before, 2);
  });

  it("counts a host's two families as what is asked, and nothing beside them", async () => {
    const queries: number[] = [];
    const server = await serverOf(({ type }) => {
      queries.push(pair.stats().queries);
      return { answers: type === "A" ? [a("192.0.2.1", 3_600)] : [aaaa("2001:db8::1", 3_600)] };
    });
    const pair = asking(server, { queryLimit: 2 });
    assert.equal((await pair.resolve("www.test")).length, 2);
    assert.equal(queries[0], 2);
    const single = asking(server, { queryLimit: 1 });
    assert.deepEqual(await single.resolve("www.test", { family: 4 }), ["192.0.2.1"]);
    assert.equal(single.stats().queries, 0);
  });

  it("is short of what one family's servers could not tell", async () => {
    const clock = stillClock();
    let isBroken = true;
    const server = await serverOf(({ type }) => {
      if (type === "A") return { answers: [a("192.0.2.1", 3_600)] };
      return isBroken ? { rcode: SERVFAIL } : { answers: [aaaa("2001:db8::1", 3_600)] };
    });
    const resolver = asking(server, { clock, tries: 1 });
    assert.deepEqual(await resolver.resolve("www.test"), ["192.0.2.1"]);
    isBroken = false;
    clock.pass(999);
    assert.deepEqual(await resolver.resolve("www.test"), ["192.0.2.1"]);
    clock.pass(1);
    assert.equal((await resolver.resolve("www.test")).length, 2);
    clock.pass(3_599_000);
    const before = server.asked.length;
    assert.equal((await resolver.resolve("www.test")).length, 2);
    assert.equal(server.asked.length, before, "what is whole is kept");
  });

  it("gives nobody an answer to a question from before it was cleared", async () => {
    const release: (() => void)[] = [];
    const old = await serverOf(async () => {
      await new Promise<void>((resolve) => release.push(resolve));
      return { answers: [a("192.0.2.1")] };
    });
    const other = await serverOf(() => ({ answers: [a("192.0.2.2")] }));
    for (const ask of [
      async (resolver: Resolver) => (await resolver.resolve("www.test", { family: 4 }))[0],
      async (resolver: Resolver) => (await resolver.resolve4("www.test"))[0]?.address,
    ]) {
      const resolver = asking(old, { timeout: 20_000 });
      const first = ask(resolver);
      await until(() => release.length === 1, "the first is under way");
      resolver.nameservers = [other.address];
      assert.equal(await ask(resolver), "192.0.2.2");
      resolver.clear();
      const second = ask(resolver);
      release.splice(0)[0]?.();
      assert.equal(await first, "192.0.2.1");
      assert.equal(await second, "192.0.2.2");
      assert.equal(await ask(resolver), "192.0.2.2");
    }
  });

  it("lets one of before it was cleared give up without those of after", async () => {
    const server = await serverOf(() => undefined);
    const resolver = asking(server, { timeout: 20_000 });
    const giver = new AbortController();
    const first = resolver.resolve("www.test", { family: 4, signal: giver.signal });
    await until(() => server.asked.length === 1, "the first is under way");
    resolver.clear();
    const later = new AbortController();
    const all = [1, 2].map(() => resolver.resolve("www.test", { family: 4, signal: later.signal }));
    await until(() => server.asked.length === 2, "the second is under way");
    giver.abort(new Error("first"));
    await assert.rejects(first, { message: "first" });
    all.push(resolver.resolve("www.test", { family: 4, signal: later.signal }));
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(server.asked.length, 2, "the third waits with the second");
    later.abort(new Error("later"));
    for (const each of all) await assert.rejects(each, { message: "later" });
    await until(() => resolver.stats().queries === 0, "nothing is under way");
  });

  it("does not mix up options", async () => {
    const server = await serverOf(zone({ "A www.test": [a("192.0.2.1")], "AAAA www.test": [aaaa("2001:db8::1")] }));
    const resolver = asking(server);
    assert.deepEqual(await resolver.resolve("www.test", { family: 4 }), ["192.0.2.1"]);
    assert.deepEqual(await resolver.resolve("www.test", { family: 6 }), ["2001:db8::1"]);
    assert.equal((await resolver.resolve("www.test")).length, 2);
    assert.equal(server.asked.length, 2);
  });

  it("gives each who asks an answer of its own", async () => {
    const server = await serverOf(zone({ "TXT www.test": [txt("x")], "A www.test": [a("192.0.2.1")] }));
    const resolver = asking(server);
    (await resolver.resolveTxt("www.test"))[0]?.push("y");
    assert.deepEqual(await resolver.resolveTxt("www.test"), [["x"]]);
    (await resolver.resolve("www.test")).push("z");
    assert.deepEqual(await resolver.resolve("www.test"), ["192.0.2.1"]);
  });

  it("lets one give up without the others, and ends what nobody waits for", async () => {
    const server = await serverOf(() => undefined);
    const resolver = asking(server, { timeout: 20_000, tries: 4 });
    const [one, two] = [new AbortController(), new AbortController()];
    const first = resolver.resolve("www.test", { signal: one.signal });
    const second = resolver.resolve("www.test", { signal: two.signal });
    first.catch(() => {});
    second.catch(() => {});
    await until(() => server.asked.length === 2, "it was asked");
    one.abort(new Error("first"));
    await assert.rejects(first, { message: "first" });
    assert.equal(resolver.stats().waiting > 0, true);
    two.abort(new Error("second"));
    await assert.rejects(second, { message: "second" });
    assert.equal(resolver.stats().waiting, 0);
    await until(() => resolver.stats().queries === 0, "nothing is under way");
    await assert.rejects(resolver.resolve("www.test", { signal: AbortSignal.abort(new Error("third")) }), {
      message: "third",
    });
  });

  it("asks nothing for one who gave up at once", async () => {
    const server = await serverOf(() => undefined);
    writeFileSync(hostsPath, "192.0.2.1 here.test\n");
    for (const hosts of [false, hostsPath] as const) {
      const resolver = asking(server, { hosts, search: ["lab.test"], timeout: 20_000 });
      for (const ask of [
        (signal: AbortSignal) => resolver.resolve("www", { signal }),
        (signal: AbortSignal) => resolver.reverse("192.0.2.7", { signal }),
      ]) {
        const giver = new AbortController();
        const asked = ask(giver.signal);
        giver.abort(new Error("mine"));
        await assert.rejects(asked, { message: "mine" });
        await until(() => resolver.stats().queries === 0, "nothing is under way");
      }
    }
    // What was sent before comes before.
    await assert.rejects(asking(server, { timeout: 50, tries: 1 }).resolve4("last.test"), { code: "ETIMEOUT" });
    assert.deepEqual(
      server.questions.filter((question) => question !== "A last.test"),
      [],
    );
  });
});

describe("a hostile name server", () => {
  it("is not believed with another's number, or with the answer to another question", async () => {
    const server = await serverOf((question) => [
      { id: (question.id + 1) & 0xffff, answers: [a("203.0.113.1")] },
      { name: "bank.test", answers: [{ ...a("203.0.113.2"), name: "bank.test" }] },
      { answers: [a("192.0.2.1")] },
    ]);
    const resolver = asking(server);
    assert.deepEqual(await resolver.resolve("www.test", { family: 4 }), ["192.0.2.1"]);
  });

  it("does not answer for names it was not asked about", async () => {
    const server = await serverOf(({ name, type }) =>
      name === "www.test" && type === "A"
        ? { answers: [a("192.0.2.1")], extra: [{ ...a("203.0.113.1"), name: "bank.test" }] }
        : { rcode: NXDOMAIN },
    );
    const resolver = asking(server);
    await resolver.resolve("www.test");
    await assert.rejects(resolver.resolve("bank.test"), { code: "ENOTFOUND" });
  });

  it("is asked over TCP where its answer was cut off", async () => {
    const many = Array.from({ length: 40 }, (_, index) => a(`192.0.2.${index}`));
    const server = await serverOf(({ over }) =>
      over === "udp" ? { truncated: true, answers: many.slice(0, 1) } : { answers: many },
    );
    const resolver = asking(server);
    assert.equal((await resolver.resolve("www.test", { family: 4 })).length, 40);
    assert.deepEqual(
      server.asked.map(({ over }) => over),
      ["udp", "tcp"],
    );
  });

  it("has no more than sixty-four addresses to try, and no long answers kept", async () => {
    const many = Array.from({ length: 2_000 }, (_, index) => a(`10.0.${index >> 8}.${index & 255}`));
    const pieces = Array.from({ length: 100 }, () => txt("x".repeat(200)));
    const server = await serverOf(({ over, type }) => {
      if (over === "udp") return { truncated: true };
      return { answers: type === "A" ? many : pieces };
    });
    const resolver = asking(server);
    assert.equal((await resolver.resolve("www.test", { family: 4 })).length, 64);
    const before = server.asked.length;
    assert.equal((await resolver.resolveTxt("www.test")).length, 100);
    assert.equal((await resolver.resolveTxt("www.test")).length, 100);
    assert.equal(server.asked.length - before, 4, "asked twice");
  });

  it("cannot name as a host what is none", async () => {
    for (const target of ["127\\.0\\.0\\.1", "a b.test", "<script>.test", "x\0.test", "192.0.2.1"]) {
      const server = await serverOf(({ type }) => ({
        answers: type === "SRV" ? [srv(0, 0, 1, target)] : [mx(0, target)],
      }));
      const resolver = asking(server, { tries: 1 });
      await assert.rejects(resolver.resolveSrv("_a._tcp.test"), { code: "EBADRESP" }, target);
      await assert.rejects(resolver.resolveMx("www.test"), { code: "EBADRESP" }, target);
    }
  });

  it("may send its aliases in a circle, or nothing but noise", async () => {
    const circle = await serverOf(({ type }) => ({
      answers: type === "A" ? [cname("b.test"), { ...cname("a.test"), name: "b.test" }] : [],
    }));
    await assert.rejects(asking(circle).resolve("a.test"), { code: "ENODATA" });
    const noise = await serverOf(({ id }) => {
      const bytes = Buffer.alloc(64, 0xff);
      bytes.writeUInt16BE(id);
      return bytes;
    });
    await assert.rejects(asking(noise, { timeout: 100, tries: 1 }).resolve("a.test"), /could not be resolved/);
  });
});

describe("a hosts file", () => {
  it("is read again when it has changed, replaced or gone", async () => {
    const clock = stillClock();
    const server = await serverOf(zone({ "A named.test": [a("192.0.2.99")] }));
    writeFileSync(
      hostsPath,
      "192.0.2.1 here.test alias.test # a comment\n2001:db8::1 here.test\nnonsense\n300.1.1.1 x.test\n",
    );
    const resolver = asking(server, { hosts: hostsPath, clock });
    assert.deepEqual(new Set(await resolver.resolve("HERE.test")), new Set(["192.0.2.1", "2001:db8::1"]));
    assert.deepEqual(await resolver.resolve("alias.test"), ["192.0.2.1"]);
    assert.deepEqual(await resolver.reverse("192.0.2.1"), ["here.test", "alias.test"]);
    assert.deepEqual(await resolver.resolve("named.test"), ["192.0.2.99"]);
    await assert.rejects(resolver.resolve("x.test"), { code: "ENOTFOUND" });
    writeFileSync(hostsPath, "192.0.2.2 here.test\n");
    clock.pass(1_000);
    assert.deepEqual(await resolver.resolve("here.test"), ["192.0.2.2"]);
    writeFileSync(`${hostsPath}.new`, "192.0.2.3 here.test\n");
    renameSync(`${hostsPath}.new`, hostsPath);
    clock.pass(1_000);
    assert.deepEqual(await resolver.resolve("here.test"), ["192.0.2.3"]);
    assert.deepEqual([...(await resolver.hosts())], [["here.test", ["192.0.2.3"]]]);
    rmSync(hostsPath);
    clock.pass(1_000);
    await assert.rejects(resolver.resolve("here.test"), { code: "ENOTFOUND" });
    writeFileSync(hostsPath, "192.0.2.4 here.test\n");
    clock.pass(1_000);
    assert.deepEqual(await resolver.resolve("here.test"), ["192.0.2.4"]);
  });

  it("may give a hundred thousand names to one address", async () => {
    const lines = Array.from({ length: 100_000 }, (_, index) => `0.0.0.0 ads${index}.test ads${index}.test\n`);
    writeFileSync(hostsPath, lines.join(""));
    const server = await serverOf(() => ({ rcode: NXDOMAIN }));
    const resolver = asking(server, { hosts: hostsPath });
    const before = performance.now();
    assert.deepEqual(await resolver.resolve("ads99999.test"), ["0.0.0.0"]);
    assert.ok(performance.now() - before < 10_000, "it grows with the file, not with its square");
    const names = await resolver.reverse("0.0.0.0");
    assert.equal(names.length, 100_000);
    assert.equal(new Set(names).size, 100_000);
  });

  it("must be a file, and not too large", async () => {
    const server = await serverOf(() => ({ rcode: NXDOMAIN }));
    await assert.rejects(asking(server, { hosts: "/dev/zero" }).resolve("x.test"), { code: "EFBIG" });
    await assert.rejects(asking(server, { hosts: folder }).resolve("x.test"), { code: "EFBIG" });
  });
});

describe("the system's hosts file", () => {
  it("is the system's affair for what is asked of the system, whatever it is", async () => {
    for (const hosts of [folder, "/dev/null", `/${"x".repeat(5_000)}`]) {
      const resolver = new Resolver({ lookup: "system", hosts });
      assert.deepEqual(await resolver.resolve("localhost.localdomain").catch((error) => error.code !== "EFBIG"), true);
    }
  });

  it("is given out as a copy", async () => {
    writeFileSync(hostsPath, "192.0.2.1 here.test\n");
    const resolver = new Resolver({ lookup: "dns", nameservers: ["127.0.0.1:9"], hosts: hostsPath });
    const hosts = await resolver.hosts();
    (hosts.get("here.test") as string[]).push("203.0.113.1");
    assert.deepEqual(await resolver.resolve("here.test"), ["192.0.2.1"]);
    assert.deepEqual((await resolver.hosts()).get("here.test"), ["192.0.2.1"]);
  });
});

describe("what a Resolver is given", () => {
  it("is checked where a program's own lookup gives it", async () => {
    const bare = Object.create(null);
    const holes: string[] = ["192.0.2.1"];
    holes.length = 2 ** 31;
    for (const given of [undefined, null, "192.0.2.1", [null], [bare], ["x"], new Array(3), holes, {}]) {
      const resolver = new Resolver({ lookup: async () => given as string[] });
      for (const family of [0, 4] as const) {
        await assert.rejects(resolver.resolve("a.test", { family }), { code: "ERR_EM_INVALID_ARGUMENT" });
      }
    }
    await assert.rejects(new Resolver({ lookup: async () => [] }).resolve("a.test"), { code: "ENOTFOUND" });
    const many = Array.from({ length: 100 }, (_, index) => `192.0.2.${index}`);
    assert.equal((await new Resolver({ lookup: async () => many }).resolve("a.test")).length, 64);
  });

  it("is checked", async () => {
    const wrong: readonly [Record<string, unknown>, RegExp][] = [
      [{ lookup: "files" }, /^lookup must be "system", "dns" or a function, not "files"/],
      [{ nameservers: [] }, /^nameservers must be an array of at least one IP address/],
      [{ nameservers: ["ns.test"] }, /^nameservers must be IP addresses/],
      [{ nameservers: ["127.0.0.1:0"] }, /^nameservers must be IP addresses/],
      [{ nameservers: ["127.0.0.1:65536"] }, /^nameservers must be IP addresses/],
      [{ nameservers: [7] }, /^nameservers must be IP addresses/],
      [{ nameservers: "127.0.0.1" }, /^nameservers must be an array/],
      [{ search: ["a b"] }, /^search must be a host name/],
      [{ nameservers: [Object.create(null)] }, /^nameservers must be IP addresses/],
      [{ nameservers: new Array(2) }, /^nameservers must be IP addresses/],
      [{ nameservers: [["127.0.0.1"]] }, /^nameservers must be IP addresses/],
      [{ search: new Array(2) }, /^search must be a host name/],
      [{ search: [Object.create(null)] }, /^search must be a host name/],
      [{ search: "a" }, /^search must be an array of domains/],
      [{ hosts: true }, /^hosts must be a path, or false/],
      [{ timeout: 0 }, /^timeout must be a whole number from 1/],
      [{ tries: 0 }, /^tries must be a whole number from 1 to 100/],
      [{ cacheSize: -1 }, /^cacheSize must be/],
      [{ cacheTime: -1 }, /^cacheTime must be/],
      [{ negativeCacheTime: "5" }, /^negativeCacheTime must be/],
      [{ queryLimit: 0 }, /^queryLimit must be/],
      [{ clock: {} }, /^clock must be/],
    ];
    for (const [options, message] of wrong) {
      assert.throws(() => new Resolver(options as ResolverOptions), { code: "ERR_EM_INVALID_ARGUMENT", message });
    }
    const resolver = new Resolver({ nameservers: ["127.0.0.1:9", "[::1]:9", "::1", "192.0.2.53"] });
    assert.deepEqual(resolver.nameservers, ["127.0.0.1:9", "[::1]:9", "::1", "192.0.2.53"]);
    assert.throws(() => (resolver.nameservers = ["x"]), { code: "ERR_EM_INVALID_ARGUMENT" });
    for (const name of [7, "", "a b", "a..b", undefined]) {
      await assert.rejects(resolver.resolve(name as string), { code: "ERR_EM_INVALID_ARGUMENT" });
      await assert.rejects(resolver.resolveMx(name as string), { code: "ERR_EM_INVALID_ARGUMENT" });
      await assert.rejects(resolver.reverse(name as string), { code: "ERR_EM_INVALID_ARGUMENT" });
    }
    await assert.rejects(resolver.resolve("a.test", { family: 5 as never }), /family must be 0, 4 or 6/);
    await assert.rejects(resolver.resolve("a.test", { signal: {} as never }), /signal must be an AbortSignal/);
    assert.ok(new Resolver().nameservers.every((server) => typeof server === "string"));
  });
});
