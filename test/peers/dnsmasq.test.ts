import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Resolver } from "eventmachine";
import { Child } from "../support/child.js";
import { freePort } from "../support/free_port.js";
import { until } from "../support/wait.js";

describe("a Resolver and dnsmasq", () => {
  const folder = mkdtempSync(join(tmpdir(), "em-dnsmasq-"));
  let port = 0;
  let server: Child | undefined;

  before(async () => {
    port = await freePort();
    const config = join(folder, "dnsmasq.conf");
    const many = Array.from({ length: 100 }, (_, index) => `host-record=many.example.test,192.0.2.${index + 1}`);
    const lines = [
      "no-resolv",
      "no-hosts",
      "bind-interfaces",
      "listen-address=127.0.0.1",
      `port=${port}`,
      "keep-in-foreground",
      "user=",
      "pid-file=",
      "local=/example.test/",
      "host-record=www.example.test,192.0.2.1,2001:db8::1,77",
      "cname=alias.example.test,www.example.test",
      "srv-host=_echo._tcp.example.test,www.example.test,7000,5,10",
      "mx-host=example.test,mail.example.test,10",
      "txt-record=example.test,v=spf1 -all",
      "caa-record=example.test,0,issue,ca.example.test",
      "ptr-record=1.2.0.192.in-addr.arpa,www.example.test",
      ...many,
    ];
    writeFileSync(config, `${lines.join("\n")}\n`);
    server = new Child("dnsmasq", ["-C", config]);
    const resolver = new Resolver({ nameservers: [`127.0.0.1:${port}`], hosts: false, timeout: 200, tries: 1 });
    await until(async () => {
      resolver.clear();
      return resolver.resolve4("www.example.test").then(
        () => true,
        () => false,
      );
    }, "dnsmasq answers");
  });

  after(async () => {
    await server?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  it("agree on every kind of record", async () => {
    const resolver = new Resolver({ nameservers: [`127.0.0.1:${port}`], hosts: false });
    assert.deepEqual(new Set(await resolver.resolve("www.example.test")), new Set(["192.0.2.1", "2001:db8::1"]));
    assert.deepEqual(await resolver.resolve4("www.example.test"), [{ address: "192.0.2.1", ttl: 77 }]);
    assert.deepEqual(await resolver.resolve("alias.example.test", { family: 6 }), ["2001:db8::1"]);
    assert.deepEqual(await resolver.resolveService("_echo._tcp.example.test"), [
      { host: "www.example.test", port: 7000 },
    ]);
    assert.deepEqual(await resolver.resolveMx("example.test"), [{ exchange: "mail.example.test", priority: 10 }]);
    assert.deepEqual(await resolver.resolveTxt("example.test"), [["v=spf1 -all"]]);
    assert.deepEqual(await resolver.reverse("192.0.2.1"), ["www.example.test"]);
    const [caa] = await resolver.resolveCaa("example.test");
    assert.equal(caa?.issue, "ca.example.test");
    await assert.rejects(resolver.resolve("nowhere.example.test"), { code: "ENOTFOUND" });
    await assert.rejects(resolver.resolveTxt("www.example.test"), { code: "ENODATA" });
  });

  it("agree with dig, also on an answer that goes over TCP", async () => {
    const resolver = new Resolver({ nameservers: [`127.0.0.1:${port}`], hosts: false });
    for (const [name, most] of [
      ["www.example.test", 64],
      ["many.example.test", 64],
    ] as const) {
      await using dig = new Child("dig", ["+short", "@127.0.0.1", "-p", `${port}`, name, "A"]);
      const expected = await dig.rest();
      const found = await resolver.resolve4(name);
      assert.deepEqual(new Set(found.map(({ address }) => address)), new Set(expected));
      assert.equal((await resolver.resolve(name, { family: 4 })).length, Math.min(most, expected.length));
    }
  });
});
