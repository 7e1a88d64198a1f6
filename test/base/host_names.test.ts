import assert from "node:assert/strict";
import { isIP } from "node:net";
import { describe, test } from "node:test";
import { checkHost, checkName, isLoopbackName, readHost, receivedName } from "../../src/base/host_names.js";

const ADDRESSES: readonly [string, string, string?][] = [
  ["127.0.0.1", "127.0.0.1"],
  ["127.1", "127.0.0.1"],
  ["127.0.1", "127.0.0.1"],
  ["0x7f.1", "127.0.0.1"],
  ["0X7F.0.0.0x1", "127.0.0.1"],
  ["0177.0.0.1", "127.0.0.1"],
  ["2130706433", "127.0.0.1"],
  ["0x7f000001", "127.0.0.1"],
  ["017700000001", "127.0.0.1"],
  ["127.65535", "127.0.255.255"],
  ["1.2.65535", "1.2.255.255"],
  ["4294967295", "255.255.255.255"],
  ["0", "0.0.0.0"],
  ["00", "0.0.0.0"],
  ["127.0.0.1.", "127.0.0.1"],
  ["127.1.", "127.0.0.1"],
  ["[127.0.0.1]", "127.0.0.1"],
  ["１２７.０.０.１", "127.0.0.1"],
  ["127。0。0。1", "127.0.0.1"],
  ["::1", "::1"],
  ["[::1]", "::1"],
  ["0:0:0:0:0:0:0:1", "::1"],
  ["2001:DB8::0001", "2001:db8::1"],
  ["::ffff:127.0.0.1", "127.0.0.1"],
  ["::FFFF:7f00:1", "127.0.0.1"],
  ["[::ffff:127.0.0.1]", "127.0.0.1"],
  ["::1%lo", "::1", "lo"],
  ["fe80::1%2", "fe80::1", "2"],
  ["[fe80::1%eth0.100]", "fe80::1", "eth0.100"],
];

const NAMES: readonly [string, string][] = [
  ["server.test", "server.test"],
  ["SERVER.Test", "server.test"],
  ["server.test.", "server.test"],
  ["localhost", "localhost"],
  ["a", "a"],
  ["1a", "1a"],
  ["1.2.3.4.test", "1.2.3.4.test"],
  ["0x7f.test", "0x7f.test"],
  ["0xfg", "0xfg"],
  ["_dmarc.example", "_dmarc.example"],
  ["a--b.example", "a--b.example"],
  ["bücher.example", "xn--bcher-kva.example"],
  ["BÜCHER.example.", "xn--bcher-kva.example"],
  ["bücher。example", "xn--bcher-kva.example"],
  ["xn--bcher-kva.example", "xn--bcher-kva.example"],
  ["faß.example", "xn--fa-hia.example"],
  ["ｓｅｒｖｅｒ.test", "server.test"],
  ["例え.テスト", "xn--r8jz45g.xn--zckzah"],
  [`${"a".repeat(63)}.test`, `${"a".repeat(63)}.test`],
];

const NEITHER: readonly string[] = [
  "",
  ".",
  "..",
  ".server.test",
  "server..test",
  "server.test..",
  "server.test/evil.test",
  "server.test?x",
  "server.test#x",
  "server.test\\x",
  "serv%65r.test",
  "server\n.test",
  "ser\tver.test",
  " server.test",
  "server.test ",
  "server.test\0",
  "server.test:443",
  "user@server.test",
  "*.server.test",
  "-a.test",
  "a-.test",
  "a.-",
  "ser\u00adver.test",
  "ser\u200bver.test",
  "ser\ufe0fver.test",
  "\ufeffserver.test",
  "server.test／evil.test",
  "server％2etest",
  "\u3000server.test",
  "server\u00a0.test",
  "\ud800.test",
  "xn--\u00fc.test",
  "bücher.test/evil.test",
  "bücher.test?x",
  "bü\ncher.test",
  "bü%63her.test",
  "bücher@evil.test",
  "foo.1",
  "1.2.3.4.5",
  "256.0.0.1",
  "127.0.0.256",
  "1.2.65536",
  "4294967296",
  "08.0.0.1",
  "0x.1.2.3.0xg.7",
  "1..2",
  "[server.test]",
  "[::1",
  "::1]",
  "[[::1]]",
  "[]",
  ":",
  ":::",
  "::g",
  "::1%",
  "::1%a/b",
  "::1% 1",
  "::1%%1",
  "::1%4294967296",
  `::1%${"a".repeat(16)}`,
  "127.0.0.1%lo",
  "server.test%lo",
  `${"a".repeat(64)}.test`,
  `${"a.".repeat(127)}ab`,
  "a".repeat(100_000),
  "ü".repeat(100_000),
];

describe("host names", () => {
  test("what a resolver reads as an address is one, in its canonical spelling", () => {
    for (const [given, text, zone] of ADDRESSES) {
      const family = isIP(text) === 4 ? "IPv4" : "IPv6";
      assert.deepEqual(readHost(given), { family, text, zone, isAbsolute: false }, given);
      assert.equal(checkHost(given), zone === undefined ? text : `${text}%${zone}`, given);
      assert.throws(() => checkName(given, "name"), { code: "ERR_EM_INVALID_ARGUMENT", message: /not the address/ });
      assert.equal(receivedName(given), undefined, given);
    }
  });

  test("a name has one spelling", () => {
    for (const [given, text] of NAMES) {
      assert.equal(checkName(given, "name"), text, given);
      const dot = /[.。]$/.test(given) ? "." : "";
      assert.equal(checkHost(given), `${text}${dot}`, given);
      assert.equal(checkHost(checkHost(given)), checkHost(given), given);
    }
  });

  test("everything else is refused, and the error names the option", () => {
    for (const given of [...NEITHER, undefined, null, 7, {}, ["a"]]) {
      const error = { code: "ERR_EM_INVALID_ARGUMENT", message: /^verifyName must be a host name/ };
      assert.throws(() => checkHost(given, "verifyName"), error, String(given));
      assert.throws(() => checkName(given, "verifyName"), error, String(given));
      if (typeof given === "string") assert.equal(receivedName(given), undefined, given);
    }
  });

  test("of a peer's bytes only ASCII is a name", () => {
    assert.equal(receivedName("SERVER.test."), "server.test");
    assert.equal(receivedName("bücher.example"), undefined);
    assert.equal(receivedName(Buffer.from("bücher.example").toString("latin1")), undefined);
  });

  test("localhost and what is below it are loopback, in any case", () => {
    for (const name of ["localhost", "LocalHost", "localhost.", "a.localhost", "a.b.LOCALHOST."]) {
      assert.equal(isLoopbackName(name), true, name);
    }
    for (const name of ["localhost.test", "alocalhost", "local.host", ""])
      assert.equal(isLoopbackName(name), false, name);
  });
});
