import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SocketAddress } from "eventmachine";
import { AddressList } from "../../src/base/address_list.js";
import { Access } from "../../src/proxy/access.js";

function at(host: string): SocketAddress {
  return { family: host.includes(":") ? "IPv6" : "IPv4", host, port: 1 };
}

describe("who may come", () => {
  it("lists take addresses, networks and Unix sockets", () => {
    const list = new AddressList(["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "unix"], "from");
    for (const host of ["10.1.2.3", "192.0.2.1", "2001:db8:1::1"]) assert.ok(list.has(at(host)), host);
    for (const host of ["11.0.0.1", "192.0.2.2", "2001:db9::1", "::1"]) assert.ok(!list.has(at(host)), host);
    assert.ok(list.has({ family: "unix", path: "" }));
    assert.ok(!list.has(undefined));
    assert.ok(new AddressList("fe80::/10", "from").has(at("fe80::1%eth0")));
    assert.ok(new AddressList("0.0.0.0/0", "from").has(at("1.2.3.4")));
    assert.ok(!new AddressList("0.0.0.0/0", "from").has(at("::1")));
  });

  it("a peer whose address is not known passes no list", () => {
    assert.ok(!new Access({ allow: "0.0.0.0/0" }).admits(undefined, 0));
    assert.ok(!new Access({ deny: "192.0.2.1" }).admits(undefined, 0));
    assert.ok(new Access({ deny: "192.0.2.1" }).admits({ family: "unix", path: "" }, 0));
    assert.ok(new Access({ maxPerSource: 1 }).admits(undefined, 0));
  });

  it("addresses of IPv4 are that however they are spelt", () => {
    for (const host of ["::ffff:192.0.2.1", "::ffff:c000:201"]) {
      assert.ok(!new Access({ deny: "192.0.2.0/24" }).admits(at(host), 0), host);
      assert.ok(new Access({ allow: "192.0.2.0/24" }).admits(at(host), 0), host);
    }
  });

  it("a bucket fills with time, up to its size", () => {
    const access = new Access({ rate: { connections: 10, per: 1000, burst: 2 } });
    const admitted = (now: number) => access.admits(at("192.0.2.1"), now);
    assert.deepEqual([admitted(0), admitted(0), admitted(0)], [true, true, false]);
    assert.deepEqual([admitted(50), admitted(100), admitted(101)], [false, true, false]);
    assert.deepEqual([admitted(9000), admitted(9000), admitted(9000)], [true, true, false]);
    assert.ok(access.admits(at("192.0.2.2"), 9000), "another source has its own");
  });

  it("an IPv6 source is its network of 64 bits", () => {
    const access = new Access({ maxPerSource: 1 });
    assert.ok(access.admits(at("2001:db8::1"), 0));
    assert.ok(!access.admits(at("2001:db8:0:0:ffff::1"), 0));
    assert.ok(access.admits(at("2001:db8:0:1::1"), 0));
    access.left(at("2001:db8::1"));
    assert.ok(access.admits(at("2001:db8::2"), 0));
  });

  it("a flood of sources is forgotten again, and those with something open are not", () => {
    const access = new Access({ maxPerSource: 1 });
    assert.ok(access.admits(at("192.0.2.1"), 0));
    for (let i = 0; i < 200_000; i++) {
      const source = at(`10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`);
      assert.ok(access.admits(source, i));
      access.left(source);
    }
    assert.ok(!access.admits(at("192.0.2.1"), 1), "it has one open still");
  });
});
